/** `node up-for-test.ts DIR`: all that `npm run up` starts, in a directory of the caller's. */
import { silentProgress } from '../cluster/progress.ts';
import { bringUp } from '../local/bring-up.ts';

await bringUp({ dir: process.argv[2] ?? '', name: 'down', progress: silentProgress });
