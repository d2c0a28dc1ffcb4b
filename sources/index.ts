/** Kubernetes objects to facts. */
import type { Fact, Problem } from '../reconcilers/facts.ts';
import { ciliumPolicyFacts } from './cilium/policy.ts';
import { endpointSliceFacts } from './core/endpoint-slice.ts';
import { namespaceFacts } from './core/namespace.ts';
import { nodeFacts } from './core/node.ts';
import { podFacts } from './core/pod.ts';
import { serviceFacts } from './core/service.ts';
import { referenceGrantFacts } from './gateway/grant.ts';
import { grpcRouteFacts, httpRouteFacts } from './gateway/route.ts';
import { networkPolicyFacts } from './networking/network-policy.ts';
import { Problems } from './parse.ts';
import { l7RouteFacts } from './weft/l7-route.ts';
import { meshServiceFacts } from './weft/mesh-service.ts';

export { foreignNamespaces, permit } from './gateway/grant.ts';
export { isServiceParent } from './gateway/parents.ts';
export { trim } from './trim.ts';

const TRANSLATORS = {
  Namespace: namespaceFacts,
  Pod: podFacts,
  Service: serviceFacts,
  EndpointSlice: endpointSliceFacts,
  Node: nodeFacts,
  NetworkPolicy: networkPolicyFacts,
  CiliumNetworkPolicy: (object: unknown, problems: Problems) =>
    ciliumPolicyFacts('CiliumNetworkPolicy', object, problems),
  CiliumClusterwideNetworkPolicy: (object: unknown, problems: Problems) =>
    ciliumPolicyFacts('CiliumClusterwideNetworkPolicy', object, problems),
  MeshService: meshServiceFacts,
  HTTPRoute: httpRouteFacts,
  GRPCRoute: grpcRouteFacts,
  ReferenceGrant: referenceGrantFacts,
  L7Route: l7RouteFacts,
} satisfies Record<string, (object: unknown, problems: Problems) => Fact[]>;

export type SourceKind = keyof typeof TRANSLATORS;

export interface Translation {
  readonly facts: Fact[];
  readonly problems: Problem[];
}

/** Never throws: an object that can't be read gives no facts and a problem. A policy's problems are also in its fact. */
export function translate(kind: SourceKind, object: unknown): Translation {
  const problems = new Problems();
  try {
    const facts = TRANSLATORS[kind](object, problems);
    return { facts, problems: problems.list };
  } catch (error) {
    problems.error('', `The ${kind} can't be read: ${error instanceof Error ? error.message : String(error)}.`);
    return { facts: [], problems: problems.list };
  }
}
