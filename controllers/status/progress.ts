import type { PolicyState } from '../../reconcilers/index.ts';
import type { NodeStatus } from '../reports/store.ts';
import { type NodeView, refKey } from '../serving/publisher.ts';

/** A node that does not enforce yet what it should. */
export interface Missing {
  readonly node: string;
  readonly why: 'Unreachable' | 'Pending' | 'Error';
  /** What the agent says; '' unless `why` is Error. */
  readonly message: string;
}

/** How far the nodes concerned are. */
export interface Progress {
  readonly nodes: number;
  readonly missing: readonly Missing[];
}

/** What is known of the nodes. */
export interface Nodes {
  view(node: string): NodeView | undefined;
  status(node: string): NodeStatus | undefined;
  /** A node that came a short while ago and did not report yet: it does not count. */
  isJoining(node: string): boolean;
}

/** Which of the nodes that have pods under a policy enforce the generation that was compiled, each read back. */
export function policyProgress(state: PolicyState, nodes: Nodes): Progress {
  const key = refKey(state.ref);
  return progress([...state.sets.keys()], nodes, (view, status, node) => {
    for (const set of state.sets.get(node) ?? []) {
      const found =
        listenerMissing(set, key, view, status) ??
        resourceMissing(set, view, status) ??
        endpointMissing(set, view, status);
      if (found !== undefined) return found;
    }
    return undefined;
  });
}

/**
 * Which nodes hold resources that all nodes hold. Agents report such a resource only when it failed, so what the node
 * accepted counts, which an agent does after it has applied it.
 */
export function sharedProgress(
  names: readonly string[],
  all: Iterable<string>,
  nodes: Nodes,
  accepted: (node: string, name: string) => boolean,
): Progress {
  return progress([...all], nodes, (_view, status, node) => {
    const failed = names.find((name) => status.errors.has(name));
    if (failed !== undefined) return { why: 'Error', message: status.errors.get(failed) ?? '' };
    return status.synced && names.every((name) => accepted(node, name)) ? undefined : lagging(status);
  });
}

type Finding = Omit<Missing, 'node'>;

function progress(
  concerned: readonly string[],
  nodes: Nodes,
  check: (view: NodeView, status: NodeStatus, node: string) => Finding | undefined,
): Progress {
  const missing: Missing[] = [];
  let counted = 0;
  for (const node of concerned) {
    const status = nodes.status(node);
    if (status === undefined && nodes.isJoining(node)) continue;
    counted++;
    const view = nodes.view(node);
    const finding: Finding | undefined =
      status === undefined || view === undefined ? { why: 'Unreachable', message: '' } : check(view, status, node);
    if (finding !== undefined) missing.push({ node, ...finding });
  }
  return { nodes: counted, missing };
}

function resourceMissing(name: string, view: NodeView, status: NodeStatus): Finding | undefined {
  const expected = view.version(name);
  if (expected !== undefined && status.versions.get(name) === expected) return undefined;
  const error = status.errors.get(name);
  return error === undefined ? lagging(status) : { why: 'Error', message: error };
}

/** A pod that moved to another policy set must have got there; one that has no network yet gets it with its set. */
function endpointMissing(set: string, view: NodeView, status: NodeStatus): Finding | undefined {
  for (const endpoint of view.endpointsUnder(set)) {
    const error = status.errors.get(endpoint);
    if (error !== undefined) return { why: 'Error', message: error };
    const held = status.versions.get(endpoint);
    if (held !== undefined && held !== view.version(endpoint)) return lagging(status);
  }
  return undefined;
}

/** Envoy refused what the policy's HTTP rules became: it goes on with what it had, or refuses all. */
function listenerMissing(set: string, policy: string, view: NodeView, status: NodeStatus): Finding | undefined {
  for (const { names, policies } of view.listenersOf(set)) {
    const failed = policies.has(policy) ? names.find((name) => status.errors.has(name)) : undefined;
    if (failed !== undefined) return { why: 'Error', message: status.errors.get(failed) ?? '' };
  }
  return undefined;
}

function lagging(status: NodeStatus): Finding {
  return { why: status.connected ? 'Pending' : 'Unreachable', message: '' };
}
