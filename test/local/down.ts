/** `npm run down`: removes all that `npm run up` made, also after an `up` that was killed half-way. */
import { takeDown } from '../cluster/down.ts';
import { reportProgress } from '../cluster/progress.ts';
import { localDirectory } from './bring-up.ts';

try {
  const was = await reportProgress(process.stderr).step('remove the cluster', () => takeDown(localDirectory));
  if (!was) process.stdout.write('nothing is up\n');
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
