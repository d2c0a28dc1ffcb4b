/** Runs the Gateway API's conformance suite against Weft on a local cluster. */
import { createWriteStream } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster } from '../../cluster/cluster.ts';
import { reportProgress } from '../../cluster/progress.ts';
import { capture, run } from '../../cluster/run.ts';
import { bringUp } from '../../local/bring-up.ts';
import { checkout } from '../../local/build.ts';
import { suiteArguments } from './features.ts';
import { begun, outcomesOf, summary } from './outcome.ts';
import { standardCrds, suiteImages, suiteProgram } from './programs.ts';

/** Where the cluster is kept between runs, with the suite's output. */
export const directory = join(checkout, '.local', 'conformance');
const checkedIn = join(checkout, 'docs', 'conformance', 'gateway-api.yaml');

type Progress = ReturnType<typeof reportProgress>;

/** @param only name of the one test to run. @returns whether all that ran passed */
export async function runGatewayApi(only: string | undefined): Promise<boolean> {
  const progress = reportProgress(process.stderr);
  const program = await progress.step("the suite's program", ({ waitingFor }) => suiteProgram(waitingFor), {
    expect: 'about 2 minutes the first time',
  });
  const cluster = await bringUp({ dir: directory, name: 'conformance', progress, demo: false });
  await prepare(cluster, progress);
  // The report of some of the tests is nobody's result.
  const report = only === undefined ? checkedIn : join(directory, 'gateway-api.yaml');
  await mkdir(join(report, '..'), { recursive: true });
  const args = suiteArguments({ report, version: await version(), ...(only === undefined ? {} : { only }) });
  const log = join(directory, 'gateway-api.log');
  const result = await progress.step(
    only === undefined ? 'conformance suite' : `conformance test ${only}`,
    async ({ waitingFor }) => {
      const lines = createWriteStream(log);
      const suite = await capture([program, ...args], {
        env: { KUBECONFIG: cluster.kubeconfig },
        dieWithParent: true,
        onLine: (line) => {
          lines.write(`${line}\n`);
          const test = begun(line);
          if (test !== undefined) waitingFor(test);
        },
      });
      lines.end();
      return suite;
    },
    { expect: 'about 3 minutes' },
  );
  const outcomes = outcomesOf(result.stdout);
  process.stdout.write(`${summary(outcomes)}\n`);
  if (result.code !== 0) process.stderr.write(`the suite ended with status ${result.code}: see ${log}\n`);
  else process.stdout.write(`report: ${report}\n`);
  return result.code === 0;
}

async function prepare(cluster: Cluster, progress: Progress): Promise<void> {
  await progress.step('CRDs of the Gateway API', async () => {
    await cluster.kubectl(['apply', '--server-side', '--filename', await standardCrds()]);
    await cluster.kubectl(['wait', 'crd', '--all', '--for=condition=Established', '--timeout=60s']);
  });
  await progress.step('what an earlier run left', () =>
    cluster.kubectl(['delete', 'namespace', '--selector', 'gateway-conformance', '--timeout=120s']),
  );
  await progress.step(
    "images of the suite's pods",
    async ({ waitingFor }) => cluster.loadImage(await suiteImages(waitingFor)),
    { expect: 'about 2 minutes the first time' },
  );
}

/** The commit; with `-dirty` where what ran is not what it holds. The report itself does not count. */
async function version(): Promise<string> {
  const git = ['git', '-C', checkout];
  const { version: release } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as {
    version: string;
  };
  const commit = (await run([...git, 'rev-parse', '--short=12', 'HEAD'])).trim();
  const changed = await run([...git, 'status', '--porcelain', '--', '.', ':!docs']);
  return `v${release}-${commit}${changed === '' ? '' : '-dirty'}`;
}
