/** The demo in acts: which policies are applied, and who may call whom then. */

export type Policy = 'cluster-only' | 'api-from-frontend' | 'sticky-api';
export type Caller = 'frontend' | 'stranger' | 'outside';
/** Pods call the Service by name; the client outside the cluster a pod's address and each node's port. */
export type Target = 'service' | 'pod' | 'node port of node1' | 'node port of node2';

export interface Call {
  readonly from: Caller;
  readonly to: Target;
}

export interface Act {
  readonly name: string;
  readonly title: string;
  /** All that is applied during the act; names of files in manifests/. */
  readonly policies: readonly Policy[];
  readonly allowed: (call: Call) => boolean;
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
];
