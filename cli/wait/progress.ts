import type { Enforcement, Snapshot } from '../status/snapshot.ts';
import { policyName } from '../status/text.ts';
import type { WaitTarget } from './target.ts';

export type Progress =
  | { readonly state: 'enforced'; readonly sentence: string }
  | { readonly state: 'waiting'; readonly sentence: string }
  /** It will not be enforced as it is written. */
  | { readonly state: 'refused'; readonly sentence: string };

/**
 * How far the nodes are with one generation of an object.
 * @param generation of the object in the API server
 */
export function progressOf(snapshot: Snapshot, target: WaitTarget, generation: number): Progress {
  const title = policyName(target);
  const isTarget = ({ namespace, name }: { namespace: string; name: string }): boolean =>
    namespace === target.namespace && name === target.name;
  const seen =
    target.kind === 'MeshService'
      ? snapshot.meshServices.find(isTarget)
      : snapshot.policies.find((policy) => policy.kind === target.kind && isTarget(policy));
  const key = [target.kind, target.namespace, target.name].filter((part) => part !== '').join('/');
  const problems = seen?.problems ?? snapshot.problems.find(({ object }) => object === key)?.problems ?? [];
  const fatal = problems.filter(({ severity }) => severity === 'error');
  const isCurrent = seen === undefined ? fatal.length > 0 : seen.generation >= generation;
  if (isCurrent && fatal.length > 0) {
    const why = fatal.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`)).join(' ');
    return { state: 'refused', sentence: `${title} can't be enforced as it is written: ${why}` };
  }
  if (seen === undefined || !isCurrent) {
    return { state: 'waiting', sentence: `${title}: the operator has not read generation ${generation} yet` };
  }
  const { enforced, of } = seen.nodes;
  const count = `${enforced} of ${of} nodes`;
  if (enforced < of) return { state: 'waiting', sentence: `${title}: ${count}; ${missing(seen.nodes)}` };
  return { state: 'enforced', sentence: `${title} generation ${seen.generation} is in force on ${count}` };
}

function missing(nodes: Enforcement): string {
  const named = nodes.missing.slice(0, 5).map(({ node, why, message }) => `${node} (${message || why})`);
  const more = nodes.missing.length - named.length;
  return `not on ${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
