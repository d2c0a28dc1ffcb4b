import { z } from 'zod';
import type { KindDefinition } from './schema/crd.ts';
import { type Status, status } from './schema/status.ts';

/** How long a client stays with its backend where the MeshService does not say, in seconds: as in the core Service. */
export const DEFAULT_AFFINITY_SECONDS = 10_800;

const loadBalancing = z
  .object({
    algorithm: z
      .enum(['Random', 'Maglev'])
      .default('Random')
      .describe(
        'Random picks any backend. Maglev picks by a consistent hash: a change of the backends moves few clients.',
      ),
  })
  .default({ algorithm: 'Random' })
  .describe('How a backend is chosen for a new connection.');

const affinity = z
  .discriminatedUnion('type', [
    z.object({
      type: z.literal('None').default('None').describe('ClientIP: all connections of one client go to one backend.'),
    }),
    z.object({
      type: z.literal('ClientIP'),
      timeoutSeconds: z
        .int()
        .min(1)
        .max(86_400)
        .optional()
        .describe(
          `How long after a client's last connection its backend is remembered; ${DEFAULT_AFFINITY_SECONDS} if absent. ` +
            'With Maglev nothing is remembered, since the hash of the client alone decides.',
        ),
    }),
  ])
  .default({ type: 'None' })
  .describe('Whether the connections of one client stay together.');

export const meshServiceSpec = z
  .object({ loadBalancing, affinity })
  .describe('What the Service of the same name and namespace means in the mesh.');

/** With the defaults that the API server fills in. */
export type MeshServiceSpec = z.output<typeof meshServiceSpec>;

/** A MeshService as the API server gives it. */
export interface MeshService {
  readonly apiVersion: 'weft.dev/v1alpha1';
  readonly kind: 'MeshService';
  readonly metadata: { readonly name: string; readonly namespace: string; readonly generation?: number };
  readonly spec: MeshServiceSpec;
  readonly status?: Status;
}

function example(name: string, spec: unknown): Record<string, unknown> {
  return { apiVersion: 'weft.dev/v1alpha1', kind: 'MeshService', metadata: { name }, spec };
}

const CONDITION = (type: string, field: string) => `.status.conditions[?(@.type=="${type}")].${field}`;

export const meshService: KindDefinition = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'MeshService',
  plural: 'meshservices',
  shortNames: ['meshsvc'],
  scope: 'Namespaced',
  description: 'What the core Service of the same name and namespace means in the mesh.',
  spec: meshServiceSpec,
  status,
  rules: [
    {
      rule: "self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
      message:
        'the name must be that of a Service in the same namespace: at most 63 lower-case letters, digits and "-", ' +
        'starting with a letter and not ending with "-"',
    },
  ],
  columns: [
    { name: 'Algorithm', type: 'string', jsonPath: '.spec.loadBalancing.algorithm' },
    { name: 'Affinity', type: 'string', jsonPath: '.spec.affinity.type' },
    { name: 'Ready', type: 'string', jsonPath: CONDITION('Ready', 'status') },
    { name: 'Reason', type: 'string', jsonPath: CONDITION('Ready', 'reason'), priority: 1 },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  ],
  examples: [
    {
      title: 'One client stays with one backend, whichever node it comes from',
      object: example('api', { loadBalancing: { algorithm: 'Maglev' }, affinity: { type: 'ClientIP' } }),
    },
    {
      title: 'A random backend, remembered for ten minutes',
      object: example('api', { affinity: { type: 'ClientIP', timeoutSeconds: 600 } }),
    },
    { title: 'All defaults', object: example('api', {}) },
  ],
  badExamples: [
    {
      title: 'a time-out without affinity',
      object: example('api', { affinity: { type: 'None', timeoutSeconds: 600 } }),
      refused: /timeoutSeconds is only for type ClientIP; remove it or change type/,
    },
    {
      title: 'a time-out where the type is left to its default',
      object: example('api', { affinity: { timeoutSeconds: 600 } }),
      refused: /timeoutSeconds is only for type ClientIP/,
    },
    {
      title: 'a time-out of zero',
      object: example('api', { affinity: { type: 'ClientIP', timeoutSeconds: 0 } }),
      refused: /spec\.affinity\.timeoutSeconds.*should be greater than or equal to 1/,
    },
    {
      title: 'a time-out of more than a day',
      object: example('api', { affinity: { type: 'ClientIP', timeoutSeconds: 86_401 } }),
      refused: /spec\.affinity\.timeoutSeconds.*should be less than or equal to 86400/,
    },
    {
      title: 'an unknown algorithm',
      object: example('api', { loadBalancing: { algorithm: 'LeastRequest' } }),
      refused: /spec\.loadBalancing\.algorithm.*supported values: "Random", "Maglev"/,
    },
    {
      title: 'an unknown kind of affinity',
      object: example('api', { affinity: { type: 'Cookie' } }),
      refused: /spec\.affinity\.type.*supported values: "None", "ClientIP"/,
    },
    {
      title: 'a time-out in words',
      object: example('api', { affinity: { type: 'ClientIP', timeoutSeconds: '10m' } }),
      refused: /spec\.affinity\.timeoutSeconds.*must be of type integer: "string"/,
    },
    {
      title: 'a misspelt field',
      object: example('api', { loadBalancing: { algoritm: 'Maglev' } }),
      refused: /unknown field "spec\.loadBalancing\.algoritm"/,
    },
    {
      title: 'a name that no Service can have',
      object: example('api.v1', {}),
      refused: /the name must be that of a Service in the same namespace/,
    },
    {
      title: 'no spec',
      object: { apiVersion: 'weft.dev/v1alpha1', kind: 'MeshService', metadata: { name: 'api' } },
      refused: /spec: Required value/,
    },
  ],
};
