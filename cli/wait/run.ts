/** `weft wait`: until all nodes concerned enforce what is in the API server now. */
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeError, type KubeObject, kindName } from 'kopf-ts';
import type { ClusterAccess } from '../cluster.ts';
import { UsageError } from '../errors.ts';
import { sourceKinds } from '../kinds.ts';
import { readSnapshot, type Snapshot } from '../status/snapshot.ts';
import { policyName } from '../status/text.ts';
import { obstacleOf } from './obstacle.ts';
import { type Progress, progressOf } from './progress.ts';
import type { WaitTarget } from './target.ts';

const POLL_MS = 500;

/**
 * @param timeoutMs at least one look is taken
 * @param tell how far each target is, each time that it was looked at
 * @returns the last that is known of each
 * @throws UsageError where an object does not exist
 */
export async function waitEnforced(
  cluster: ClusterAccess,
  targets: readonly WaitTarget[],
  timeoutMs: number,
  tell: (progress: readonly Progress[]) => void,
): Promise<readonly Progress[]> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    // The objects first: what the operator says then is no older than they are.
    const objects = await Promise.all(targets.map((target) => objectOf(cluster, target)));
    const snapshot = await snapshotOrWhy(cluster);
    const progress = targets.map(
      (target, at): Progress =>
        snapshot instanceof Error
          ? { state: 'waiting', sentence: `${policyName(target)}: the operator does not answer (${snapshot.message})` }
          : withObstacle(progressOf(snapshot, target, objects[at]?.metadata.generation ?? 0), objects[at]),
    );
    tell(progress);
    const isOver =
      progress.every(({ state }) => state === 'enforced') || progress.some(({ state }) => state === 'refused');
    if (isOver || performance.now() + POLL_MS > end) return progress;
    await sleep(POLL_MS);
  }
}

/** An operator that restarts is waited for; what does not pass by itself is thrown. */
async function snapshotOrWhy({ config, client }: ClusterAccess): Promise<Snapshot | Error> {
  try {
    return await readSnapshot(config, client);
  } catch (error) {
    if (error instanceof KubeError || error instanceof UsageError || !(error instanceof Error)) throw error;
    return error;
  }
}

function withObstacle(progress: Progress, object: KubeObject | undefined): Progress {
  const obstacle = object === undefined || progress.state !== 'waiting' ? '' : obstacleOf(object);
  return obstacle === '' ? progress : { ...progress, sentence: `${progress.sentence}. ${obstacle}` };
}

async function objectOf({ client }: ClusterAccess, target: WaitTarget): Promise<KubeObject> {
  const kind = sourceKinds[target.kind];
  try {
    return await client.get(kind, target);
  } catch (error) {
    if (!(error instanceof KubeError && error.isNotFound)) throw error;
    const where = target.namespace === '' ? '' : ` -n ${target.namespace}`;
    throw new UsageError(`there is no ${policyName(target)}: kubectl get ${kindName(kind)}${where}`);
  }
}
