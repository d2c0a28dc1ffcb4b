/** The demo in acts: which policies are applied, and who may call whom then. */

export type Policy = 'cluster-only' | 'api-from-frontend' | 'api-from-frontend-http' | 'sticky-api';

/** Each file's object; the HTTP policy takes the place of the one for layer 4. */
export const objectOf: Readonly<Record<Policy, { readonly kind: string; readonly name: string }>> = {
  'cluster-only': { kind: 'ciliumclusterwidenetworkpolicy', name: 'cluster-only' },
  'api-from-frontend': { kind: 'ciliumnetworkpolicy', name: 'api-from-frontend' },
  'api-from-frontend-http': { kind: 'ciliumnetworkpolicy', name: 'api-from-frontend' },
  'sticky-api': { kind: 'meshservice', name: 'api' },
};

export type Caller = 'frontend' | 'stranger' | 'outside';
/** Pods call the Service by name; the client outside the cluster a pod's address and each node's port. */
export type Target = 'service' | 'pod' | 'node port of node1' | 'node port of node2';

export interface Call {
  readonly from: Caller;
  readonly to: Target;
  /** Default GET. */
  readonly method?: 'GET' | 'POST';
  /** Default "/". */
  readonly path?: string;
}

export interface Act {
  readonly name: string;
  readonly title: string;
  /** All that is applied during the act; names of files in manifests/. */
  readonly policies: readonly Policy[];
  /** Whether it connects. */
  readonly allowed: (call: Call) => boolean;
  /** What is tried; default `calls`. */
  readonly calls?: readonly Call[];
  /** HTTP status of what connects; default 200. */
  readonly status?: (call: Call) => number;
  /** Policies that change nothing here, and the one that makes them ineffective. */
  readonly ineffective?: { readonly policy: Policy; readonly by: Policy };
}

export const calls: readonly Call[] = [
  { from: 'frontend', to: 'service' },
  { from: 'stranger', to: 'service' },
  { from: 'outside', to: 'pod' },
  { from: 'outside', to: 'node port of node1' },
  { from: 'outside', to: 'node port of node2' },
];

const users = '/api/v1/users';
const requests: readonly Call[] = [
  { from: 'frontend', to: 'service', path: users },
  { from: 'frontend', to: 'service', path: users, method: 'POST' },
  { from: 'frontend', to: 'service', path: '/admin' },
  { from: 'stranger', to: 'service', path: users },
];

export const acts: readonly Act[] = [
  { name: 'a', title: 'no policy: everyone connects', policies: [], allowed: () => true },
  {
    name: 'b',
    title: 'cluster-only: every pod of the cluster connects, nobody from outside does',
    policies: ['cluster-only'],
    allowed: ({ from }) => from !== 'outside',
  },
  {
    name: 'c',
    title: 'api-from-frontend alone: only frontend connects',
    policies: ['api-from-frontend'],
    allowed: ({ from }) => from === 'frontend',
  },
  {
    name: 'd',
    title: 'both: allows are a union, so stranger connects again',
    policies: ['cluster-only', 'api-from-frontend'],
    allowed: ({ from }) => from !== 'outside',
    ineffective: { policy: 'api-from-frontend', by: 'cluster-only' },
  },
  {
    name: 'e',
    title: 'api-from-frontend for layer 7: only GET /api/v1/users by frontend, all else is answered 403 by Envoy',
    policies: ['api-from-frontend-http'],
    calls: [...requests, ...calls.filter(({ from }) => from !== 'frontend')],
    allowed: ({ from }) => from === 'frontend',
    status: ({ method, path }) => ((method ?? 'GET') === 'GET' && path === users ? 200 : 403),
  },
  {
    name: 'f',
    title: 'it and cluster-only: the union lets all through',
    policies: ['cluster-only', 'api-from-frontend-http'],
    calls: [...requests, ...calls],
    allowed: ({ from }) => from !== 'outside',
    ineffective: { policy: 'api-from-frontend-http', by: 'cluster-only' },
  },
];
