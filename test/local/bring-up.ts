/** From nothing to a running mesh with the demo. What is up already is left as it is. */
import { join } from 'node:path';
import type { Cluster } from '../cluster/cluster.ts';
import type { Progress } from '../cluster/progress.ts';
import { startCluster } from '../cluster/start.ts';
import { buildAll, checkout } from './build.ts';
import { installDemo, installDns, installWeft } from './install.ts';

/** Where `npm run up` keeps its cluster. */
export const localDirectory = join(checkout, '.local');

export interface BringUpOptions {
  readonly dir: string;
  readonly name: string;
  readonly nodes?: number;
  readonly progress: Progress;
  /** False: without the demo. */
  readonly demo?: boolean;
}

export async function bringUp(options: BringUpOptions): Promise<Cluster> {
  const { progress } = options;
  await buildAll(progress);
  const cluster = await startCluster(options);
  await progress.step('Weft', ({ waitingFor }) => installWeft(cluster, waitingFor));
  await progress.step('cluster DNS', ({ waitingFor }) => installDns(cluster, waitingFor));
  if (options.demo === false) return cluster;
  await progress.step('demo', ({ waitingFor }) => installDemo(cluster, waitingFor));
  return cluster;
}
