import type { CustomResourceDefinition, PrinterColumn } from './schema/crd.ts';
import type { JsonSchema } from './schema/structural.ts';

const OPEN = { 'x-kubernetes-preserve-unknown-fields': true } as const;

/**
 * The policy kinds of `cilium.io/v2`, for clusters that do not have them. Their spec is left open on purpose: the API
 * server would prune fields that a schema does not name before anyone sees them, and what is not understood must never
 * become wider (docs: "What is not understood is never wider"). Only created where absent, never changed.
 */
export const ciliumNetworkPolicyCrd = policyCrd('CiliumNetworkPolicy', 'ciliumnetworkpolicies', 'Namespaced', [
  'cnp',
  'ciliumnp',
]);

export const ciliumClusterwideNetworkPolicyCrd = policyCrd(
  'CiliumClusterwideNetworkPolicy',
  'ciliumclusterwidenetworkpolicies',
  'Cluster',
  ['ccnp'],
);

function policyCrd(
  kind: string,
  plural: string,
  scope: 'Namespaced' | 'Cluster',
  shortNames: readonly string[],
): CustomResourceDefinition {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.cilium.io`, labels: { 'app.kubernetes.io/part-of': 'weft' } },
    spec: {
      group: 'cilium.io',
      scope,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames,
        categories: ['cilium', 'ciliumpolicy', 'weft'],
      },
      versions: [
        {
          name: 'v2',
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns(),
          schema: { openAPIV3Schema: schema(kind) },
        },
      ],
    },
  };
}

function columns(): PrinterColumn[] {
  const status = (type: string) => `.status.conditions[?(@.type=="${type}")].status`;
  return [
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
    { name: 'Accepted', type: 'string', jsonPath: status('Accepted') },
    { name: 'Enforced', type: 'string', jsonPath: status('Enforced') },
  ];
}

function schema(kind: string): JsonSchema {
  return {
    type: 'object',
    description: `${kind} of cilium.io/v2. Weft says in the status which fields it does not support.`,
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      spec: { type: 'object', description: 'One rule.', ...OPEN },
      specs: { type: 'array', description: 'Several rules.', items: { type: 'object', ...OPEN } },
      status: { type: 'object', properties: { conditions: conditions() }, ...OPEN },
    },
  };
}

function conditions(): JsonSchema {
  return {
    type: 'array',
    items: {
      type: 'object',
      required: ['type', 'status'],
      properties: {
        type: { type: 'string' },
        status: { type: 'string' },
        observedGeneration: { type: 'integer', format: 'int64' },
        lastTransitionTime: { type: 'string', format: 'date-time' },
        reason: { type: 'string' },
        message: { type: 'string' },
      },
    },
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['type'],
  };
}
