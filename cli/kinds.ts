/** The kinds that the command reads. */
import { defineKind, type Kind, type KubeObject } from 'kopf-ts';
import type { SourceKind } from '../sources/index.ts';

const core = { group: '', version: 'v1' } as const;
const gateway = { group: 'gateway.networking.k8s.io', version: 'v1', namespaced: true } as const;
const cilium = { group: 'cilium.io', version: 'v2' } as const;

/** All that becomes facts, by the name that sources/ knows it under. */
export const sourceKinds: Readonly<Record<SourceKind, Kind>> = {
  Namespace: defineKind({ ...core, plural: 'namespaces', kind: 'Namespace', namespaced: false }),
  Node: defineKind({ ...core, plural: 'nodes', kind: 'Node', namespaced: false }),
  Pod: defineKind({ ...core, plural: 'pods', kind: 'Pod', namespaced: true }),
  Service: defineKind({ ...core, plural: 'services', kind: 'Service', namespaced: true }),
  EndpointSlice: defineKind({
    group: 'discovery.k8s.io',
    version: 'v1',
    plural: 'endpointslices',
    kind: 'EndpointSlice',
    namespaced: true,
  }),
  NetworkPolicy: defineKind({
    group: 'networking.k8s.io',
    version: 'v1',
    plural: 'networkpolicies',
    kind: 'NetworkPolicy',
    namespaced: true,
  }),
  CiliumNetworkPolicy: defineKind({
    ...cilium,
    plural: 'ciliumnetworkpolicies',
    kind: 'CiliumNetworkPolicy',
    namespaced: true,
  }),
  CiliumClusterwideNetworkPolicy: defineKind({
    ...cilium,
    plural: 'ciliumclusterwidenetworkpolicies',
    kind: 'CiliumClusterwideNetworkPolicy',
    namespaced: false,
  }),
  MeshService: defineKind({
    group: 'weft.dev',
    version: 'v1alpha1',
    plural: 'meshservices',
    kind: 'MeshService',
    namespaced: true,
  }),
  HTTPRoute: defineKind({ ...gateway, plural: 'httproutes', kind: 'HTTPRoute' }),
  GRPCRoute: defineKind({ ...gateway, plural: 'grpcroutes', kind: 'GRPCRoute' }),
  ReferenceGrant: defineKind({ ...gateway, version: 'v1beta1', plural: 'referencegrants', kind: 'ReferenceGrant' }),
  L7Route: defineKind({
    group: 'weft.dev',
    version: 'v1alpha1',
    plural: 'l7routes',
    kind: 'L7Route',
    namespaced: true,
  }),
};

interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
}

export interface Workload extends KubeObject {
  readonly spec: { readonly selector: Selector };
}

const workload = (kind: string, group = 'apps') =>
  defineKind<Workload>({ group, version: 'v1', plural: `${kind.toLowerCase()}s`, kind, namespaced: true });

export const workloadKinds = {
  deployment: workload('Deployment'),
  statefulset: workload('StatefulSet'),
  daemonset: workload('DaemonSet'),
  job: workload('Job', 'batch'),
} as const;

/** A label selector as the API server takes it in a query. */
export function selectorQuery({ matchLabels = {}, matchExpressions = [] }: Selector): string {
  const labels = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  const expressions = matchExpressions.map(({ key, operator, values = [] }) => {
    if (operator === 'Exists') return key;
    if (operator === 'DoesNotExist') return `!${key}`;
    return `${key} ${operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`;
  });
  return [...labels, ...expressions].join(',');
}
