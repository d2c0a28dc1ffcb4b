/** Builds all that ships, from nothing if need be: `npm run build`. */
import { join } from 'node:path';
import { prepareMachine } from '../cluster/prerequisites.ts';
import { type Progress, reportProgress } from '../cluster/progress.ts';
import { run } from '../cluster/run.ts';
import { buildBundles } from './bundles.ts';

export const checkout = join(import.meta.dirname, '..', '..');

/** Debian packages, the native addon with the eBPF objects, the static binaries, and the bundles. */
export async function buildAll(progress: Progress): Promise<void> {
  await prepareMachine('build', progress);
  await progress.step(
    'native addon, eBPF programs, CNI binary, supervisor of Envoy',
    ({ waitingFor }) =>
      run(['npm', 'run', 'build', '--silent', '-w', 'datapath-native'], {
        cwd: checkout,
        dieWithParent: true,
        onLine: (line) => waitingFor(line),
      }),
    { expect: 'about 2 minutes the first time' },
  );
  await progress.step('bundles', buildBundles);
}

if (process.argv[1] === import.meta.filename) {
  await buildAll(reportProgress(process.stderr)).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
}
