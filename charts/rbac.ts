/** A rule of a Role or ClusterRole. */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

const follow = ['list', 'watch'] as const;

/** What the operator does in the whole cluster, and why: nothing else is granted, and a test finds what is not used. */
export const clusterRules: readonly PolicyRule[] = [
  // Facts.
  { apiGroups: [''], resources: ['namespaces', 'nodes', 'pods', 'services'], verbs: follow },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: follow },
  { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: follow },
  {
    apiGroups: ['cilium.io'],
    resources: ['ciliumnetworkpolicies', 'ciliumclusterwidenetworkpolicies'],
    verbs: follow,
  },
  { apiGroups: ['weft.dev'], resources: ['meshservices', 'l7routes'], verbs: follow },
  {
    apiGroups: ['gateway.networking.k8s.io'],
    resources: ['httproutes', 'grpcroutes', 'referencegrants'],
    verbs: follow,
  },
  // Conditions, by server-side apply; those of others' routes by a patch.
  {
    apiGroups: ['cilium.io'],
    resources: ['ciliumnetworkpolicies/status', 'ciliumclusterwidenetworkpolicies/status'],
    verbs: ['patch'],
  },
  { apiGroups: ['weft.dev'], resources: ['meshservices/status', 'l7routes/status'], verbs: ['patch'] },
  {
    apiGroups: ['gateway.networking.k8s.io'],
    resources: ['httproutes/status', 'grpcroutes/status'],
    verbs: ['patch'],
  },
  // Sentences about objects, in the objects' namespaces.
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
  // Whose token an agent shows.
  { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
  // Cilium's kinds where they are absent; whether a kind is installed.
  { apiGroups: ['apiextensions.k8s.io'], resources: ['customresourcedefinitions'], verbs: ['get', 'create'] },
];

/** What it does in its own namespace. */
export const namespaceRules: readonly PolicyRule[] = [
  // The CA's key. A rule can't name the object that is created.
  { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
  { apiGroups: [''], resources: ['secrets'], resourceNames: ['weft-ca'], verbs: ['get'] },
  // The CA's certificate, for agents to read. Applying what is absent creates it.
  { apiGroups: [''], resources: ['configmaps'], verbs: ['create'] },
  { apiGroups: [''], resources: ['configmaps'], resourceNames: ['weft-ca'], verbs: ['get', 'patch'] },
  // Whether the agent whose token was shown still runs.
  { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
  // Where the replicas are.
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['create'] },
  {
    apiGroups: ['discovery.k8s.io'],
    resources: ['endpointslices'],
    resourceNames: ['weft-operator'],
    verbs: ['get', 'update', 'delete'],
  },
  // Who leads, and which replicas live: one Lease for each, named after the replica.
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: ['get', 'list', 'create', 'update', 'patch', 'delete'],
  },
];
