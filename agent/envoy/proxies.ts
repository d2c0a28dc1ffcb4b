/** Which pod's Envoy gets new connections. Pure. */
import type { Completeness } from './config.ts';
import type { SupervisorState } from './supervisor-state.ts';

/** A proxy pod of this node, and how its Envoy does. */
export interface ProxyView {
  readonly slot: number;
  readonly uid: string;
  /** Undefined: its supervisor is not connected. */
  readonly supervisor: SupervisorState | undefined;
  /** What its Envoy has of its configuration; undefined: it is not connected. */
  readonly config: Completeness | undefined;
}

/**
 * The slot of the pod that new connections go to: the newest whose Envoy runs and has everything. An Envoy that refused
 * something is second best; none better: the present one stays as long as its pod exists.
 *
 * @param pods oldest first
 * @param settling the agent has just started: supervisors that are not connected will be
 */
export function chooseProxy(
  pods: readonly ProxyView[],
  current: number | undefined,
  settling: boolean,
): number | undefined {
  const at = pods.findIndex(({ slot }) => slot === current);
  const newer = pods.slice(at + 1).findLast((pod) => serves(pod, 'all'));
  if (newer !== undefined) return newer.slot;
  const present = pods[at];
  if (present !== undefined && isHealthy(present, settling)) return present.slot;
  const best = pods.findLast((pod) => serves(pod, 'all')) ?? pods.findLast((pod) => serves(pod, 'answered'));
  return best?.slot ?? present?.slot;
}

/**
 * Draining pods that may go on: new connections go elsewhere, or there is no other pod that could take them.
 *
 * @returns their uids
 */
export function retirable(pods: readonly ProxyView[], chosen: number | undefined): string[] {
  return pods
    .filter((pod) => pod.supervisor?.state === 'draining')
    .filter((pod) => pod.slot !== chosen || !pods.some((other) => other !== pod && isAlive(other)))
    .map(({ uid }) => uid);
}

/**
 * The pod whose Envoy must have a listener before the kernel points at it; undefined: waiting is of no use.
 *
 * An Envoy that is only about to start is waited for too, unless it has failed before.
 */
export function awaitedProxy(
  pods: readonly ProxyView[],
  current: number | undefined,
  settling: boolean,
): ProxyView | undefined {
  const promising = (pod: ProxyView | undefined): boolean => {
    if (pod?.supervisor === undefined) return pod !== undefined && settling;
    const { state, restarts, error } = pod.supervisor;
    return state === 'running' || ((state === 'starting' || state === 'idle') && restarts === 0 && error === undefined);
  };
  const present = pods.find(({ slot }) => slot === current);
  return promising(present) ? present : pods.findLast(promising);
}

/** Why the node has no Envoy though it needs one, as a sentence; undefined: it has. */
export function whyNoEnvoy(pods: readonly ProxyView[], chosen: number | undefined): string | undefined {
  const present = pods.find(({ slot }) => slot === chosen) ?? pods.at(-1);
  if (present === undefined) return 'there is no pod of the DaemonSet weft-envoy on this node that has a network';
  const { supervisor, config, uid } = present;
  if (supervisor === undefined) return `nothing in the pod ${uid} is connected to this agent`;
  const { state, restarts, error } = supervisor;
  const trouble = `${restarts === 0 ? '' : `, started again ${restarts === 1 ? 'once' : `${restarts} times`}`}${error === undefined ? '' : `: ${error}`}`;
  if (state !== 'running') return `Envoy in the pod ${uid} is ${state}${trouble}`;
  if (config === undefined) return `Envoy in the pod ${uid} runs and does not ask for its configuration${trouble}`;
  if (present.slot !== chosen) return `Envoy in the pod ${uid} does not have its configuration yet${trouble}`;
  return undefined;
}

/** Its Envoy runs, and has its configuration at least to this degree. */
function serves({ supervisor, config }: ProxyView, least: 'all' | 'answered'): boolean {
  return supervisor?.state === 'running' && (config === 'all' || (least === 'answered' && config === 'answered'));
}

function isHealthy({ supervisor }: ProxyView, settling: boolean): boolean {
  return supervisor === undefined ? settling : supervisor.state === 'running';
}

/** May come to serve. */
function isAlive({ supervisor }: ProxyView): boolean {
  return supervisor !== undefined && supervisor.state !== 'draining' && supervisor.state !== 'stopped';
}
