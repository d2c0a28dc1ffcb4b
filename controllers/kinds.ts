import { type Condition, defineKind, type Kind, type KubeObject } from 'kopf-ts';

/** The kinds that the operator reads and writes, as far as it looks at them itself. */

export interface Secret extends KubeObject {
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>;
  readonly type?: string;
}

export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

export interface Pod extends KubeObject {
  readonly spec?: { readonly nodeName?: string };
}

export interface EndpointSlice extends KubeObject {
  readonly addressType: string;
  /** The API server writes an empty list as null. */
  readonly endpoints: readonly SliceEndpoint[] | null;
  readonly ports?: readonly { readonly name?: string; readonly port?: number; readonly protocol?: string }[];
}

export interface SliceEndpoint {
  readonly addresses: readonly string[];
  readonly conditions?: { readonly ready?: boolean };
}

/** An object of a kind with `status.conditions`. */
export interface WithConditions extends KubeObject {
  readonly status?: { readonly conditions?: readonly Condition[]; readonly observedGeneration?: number };
}

const core = { group: '', version: 'v1' } as const;

export const namespaceKind = defineKind({ ...core, plural: 'namespaces', kind: 'Namespace', namespaced: false });
export const podKind = defineKind<Pod>({ ...core, plural: 'pods', kind: 'Pod', namespaced: true });
export const serviceKind = defineKind({ ...core, plural: 'services', kind: 'Service', namespaced: true });
export const nodeKind = defineKind({ ...core, plural: 'nodes', kind: 'Node', namespaced: false });
export const secretKind = defineKind<Secret>({ ...core, plural: 'secrets', kind: 'Secret', namespaced: true });
export const configMapKind = defineKind<ConfigMap>({
  ...core,
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
});

export const endpointSliceKind = defineKind<EndpointSlice>({
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
  kind: 'EndpointSlice',
  namespaced: true,
});

export const networkPolicyKind = defineKind({
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'networkpolicies',
  kind: 'NetworkPolicy',
  namespaced: true,
});

const cilium = { group: 'cilium.io', version: 'v2' } as const;

export const ciliumNetworkPolicyKind = defineKind<WithConditions>({
  ...cilium,
  plural: 'ciliumnetworkpolicies',
  kind: 'CiliumNetworkPolicy',
  namespaced: true,
});

export const ciliumClusterwideNetworkPolicyKind = defineKind<WithConditions>({
  ...cilium,
  plural: 'ciliumclusterwidenetworkpolicies',
  kind: 'CiliumClusterwideNetworkPolicy',
  namespaced: false,
});

export const meshServiceKind = defineKind<WithConditions>({
  group: 'weft.dev',
  version: 'v1alpha1',
  plural: 'meshservices',
  kind: 'MeshService',
  namespaced: true,
});

export const l7RouteKind = defineKind<WithConditions>({
  group: 'weft.dev',
  version: 'v1alpha1',
  plural: 'l7routes',
  kind: 'L7Route',
  namespaced: true,
});

/** Others' kinds, which need not be there. */
export const gateway = { group: 'gateway.networking.k8s.io', version: 'v1', namespaced: true } as const;

export const httpRouteKind = defineKind({ ...gateway, plural: 'httproutes', kind: 'HTTPRoute' });
export const grpcRouteKind = defineKind({ ...gateway, plural: 'grpcroutes', kind: 'GRPCRoute' });
export const referenceGrantKind = defineKind({
  ...gateway,
  version: 'v1beta1',
  plural: 'referencegrants',
  kind: 'ReferenceGrant',
});

/** A CustomResourceDefinition, as far as it says what is served. */
export interface Crd extends KubeObject {
  readonly spec?: { readonly versions?: readonly { readonly name: string; readonly served: boolean }[] };
}

export const crdKind = defineKind<Crd>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
});

/** The kinds whose objects become facts, by the name that `sources/` knows them under. */
export const sourceKinds = {
  Namespace: namespaceKind,
  Node: nodeKind,
  Pod: podKind,
  Service: serviceKind,
  EndpointSlice: endpointSliceKind,
  NetworkPolicy: networkPolicyKind,
  CiliumNetworkPolicy: ciliumNetworkPolicyKind,
  CiliumClusterwideNetworkPolicy: ciliumClusterwideNetworkPolicyKind,
  MeshService: meshServiceKind,
  HTTPRoute: httpRouteKind,
  GRPCRoute: grpcRouteKind,
  ReferenceGrant: referenceGrantKind,
  L7Route: l7RouteKind,
} as const satisfies Readonly<Record<string, Kind>>;

export type SourceKindName = keyof typeof sourceKinds;

export const sourceKindNames = Object.keys(sourceKinds).filter((name): name is SourceKindName => name in sourceKinds);

const CUSTOM_GROUPS: ReadonlySet<string> = new Set(['cilium.io', 'weft.dev', gateway.group]);

/** `<plural>.<group>` of the CustomResourceDefinition of a source kind; undefined for kinds that are always there. */
export function crdNameOf(kind: Kind): string | undefined {
  return CUSTOM_GROUPS.has(kind.group) ? `${kind.plural}.${kind.group}` : undefined;
}
