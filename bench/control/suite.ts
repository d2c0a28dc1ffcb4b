/** How long a change takes from the API server to the kernels of all nodes, on a real cluster of this machine. */
import { join } from 'node:path';
import { takeDown } from '../../test/cluster/down.ts';
import { reportProgress } from '../../test/cluster/progress.ts';
import { bringUp, localDirectory } from '../../test/local/bring-up.ts';
import { onEnd } from '../cleanup.ts';
import { alone, type Result } from '../result.ts';
import { quantile } from '../statistics.ts';
import { applyToKernel } from './measure.ts';

const suite = 'control';
const changes = 200;
const warmUp = 20;
/** A fixed place: what a killed run left is found and taken down by the next one. */
const dir = join(localDirectory, 'bench');

const two = (values: readonly number[], name: string): Result[] => [
  alone(suite, name, 'p50', 'ms', quantile(values, 0.5), values.length),
  alone(suite, name, 'p99', 'ms', quantile(values, 0.99), values.length),
];

export async function runCase(one: string): Promise<readonly Result[]> {
  await takeDown(dir);
  const down = onEnd(async () => {
    await takeDown(dir);
  });
  try {
    const cluster = await bringUp({ dir, name: 'bench', progress: reportProgress(process.stderr) });
    process.stderr.write(`${changes} changes of one policy, after ${warmUp} that do not count …\n`);
    const timings = await applyToKernel(cluster, changes, warmUp);
    const nodes = cluster.nodes.map(({ name }) => name);
    return [
      ...two(
        timings.map((timing) => Math.max(...Object.values(timing.nodes))),
        one,
      ),
      // For scale: what the writer waits for anyway, and each node by itself.
      ...two(
        timings.map(({ write }) => write),
        `${one} (write)`,
      ),
      ...nodes.flatMap((node) =>
        two(
          timings.map((timing) => timing.nodes[node] ?? Number.NaN),
          `${one} (${node})`,
        ),
      ),
    ];
  } finally {
    await down();
  }
}
