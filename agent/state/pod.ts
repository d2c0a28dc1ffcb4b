import type { Endpoint } from '@weft/node-api';
import type { AddressRow, PodRow } from 'bpf-loader-napi';
import { hostPrefix } from '../tables/address.ts';
import { QUARANTINE_SET } from '../tables/rows.ts';

/** A pod with a network on this node. */
export interface LocalPod {
  readonly slot: number;
  readonly ifindex: number;
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly ipv4?: string;
  readonly ipv6?: string;
}

/**
 * A pod's row.
 *
 * @param usable whether a policy set is in the kernel as it should be. A pod whose set is not, or that the operator
 *   does not know (any more), may talk to nobody: what is not understood is never wider.
 */
export function podRow(pod: LocalPod, endpoint: Endpoint | undefined, usable: (set: bigint) => boolean): PodRow {
  const wanted = endpoint?.policySet ?? QUARANTINE_SET;
  const { slot, ifindex, ipv4, ipv6 } = pod;
  return {
    table: 'pods',
    slot,
    ifindex,
    set: wanted === 0n || usable(wanted) ? wanted : QUARANTINE_SET,
    ...(ipv4 === undefined ? {} : { ipv4 }),
    ...(ipv6 === undefined ? {} : { ipv6 }),
  };
}

export function podPrefixes({ ipv4, ipv6 }: LocalPod): string[] {
  return [ipv4, ipv6].flatMap((address) => (address === undefined ? [] : (hostPrefix(address) ?? [])));
}

/** The class that this node itself gives a local pod's address, as long as the operator has no row for it. */
export function podAddressRow(prefix: string, endpoint: Endpoint): AddressRow {
  return { table: 'addresses', prefix, class: endpoint.class, kind: 'pod' };
}
