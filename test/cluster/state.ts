import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClusterPlan, ClusterState, NodePlan } from './plan.ts';

export function statePath(dir: string): string {
  return join(dir, 'cluster.json');
}

/** Replaces the state at once, so that a reader sees the old or the new one. */
export function writeState(plan: ClusterPlan, nodes: readonly NodePlan[]): void {
  const state: ClusterState = { plan, nodes: [...nodes] };
  const path = statePath(plan.dir);
  writeFileSync(`${path}.new`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}
