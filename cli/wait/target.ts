import { UsageError } from '../errors.ts';

export type WaitKind = 'NetworkPolicy' | 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy' | 'MeshService';

export interface WaitTarget {
  readonly kind: WaitKind;
  /** '' for kinds that have none. */
  readonly namespace: string;
  readonly name: string;
}

/** Names as kubectl takes them: kind, plural and short names. */
const KINDS: Readonly<Record<string, WaitKind>> = {
  netpol: 'NetworkPolicy',
  networkpolicy: 'NetworkPolicy',
  networkpolicies: 'NetworkPolicy',
  cnp: 'CiliumNetworkPolicy',
  ciliumnp: 'CiliumNetworkPolicy',
  ciliumnetworkpolicy: 'CiliumNetworkPolicy',
  ciliumnetworkpolicies: 'CiliumNetworkPolicy',
  ccnp: 'CiliumClusterwideNetworkPolicy',
  ciliumclusterwidenetworkpolicy: 'CiliumClusterwideNetworkPolicy',
  ciliumclusterwidenetworkpolicies: 'CiliumClusterwideNetworkPolicy',
  meshsvc: 'MeshService',
  meshservice: 'MeshService',
  meshservices: 'MeshService',
};

/** `KIND/NAME`, the kind perhaps with its group, as `ciliumnetworkpolicy.cilium.io/api-from-frontend`. */
export function parseWaitTarget(text: string, namespace: string): WaitTarget {
  const match = /^([a-z]+)(?:\.[a-z0-9.]+)?\/([a-z0-9][-a-z0-9.]*)$/i.exec(text);
  const [, word = '', name = ''] = match ?? [];
  const key = word.toLowerCase();
  const kind = Object.hasOwn(KINDS, key) ? KINDS[key] : undefined;
  if (kind === undefined) {
    throw new UsageError(
      `${JSON.stringify(text)} is nothing to wait for: write KIND/NAME with a kind of ${[...new Set(Object.values(KINDS))].join(', ')}`,
    );
  }
  return { kind, namespace: kind === 'CiliumClusterwideNetworkPolicy' ? '' : namespace, name };
}
