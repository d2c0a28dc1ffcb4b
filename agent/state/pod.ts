import type { Endpoint } from '@weft/node-api';
import type { AddressRow, PodRow } from 'bpf-loader-napi';
import { hostPrefix } from '../tables/address.ts';
import { hash64 } from '../tables/hash.ts';
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
  /** It was given its network as the pod that runs Envoy. */
  readonly proxy?: ProxyDevice;
}

/** The device of a proxy in its own network namespace. */
export interface ProxyDevice {
  /** Path of the namespace, as the runtime gives it. */
  readonly netns: string;
  readonly ifName: string;
}

/**
 * A pod's row.
 *
 * @param usable whether a policy set is in the kernel as it should be. A pod whose set is not, or that the operator
 *   does not know (any more), may talk to nobody: what is not understood is never wider.
 */
export function podRow(pod: LocalPod, endpoint: Endpoint | undefined, usable: (set: bigint) => boolean): PodRow {
  const proxy = isProxy(pod, endpoint);
  // Nobody but the node reaches Envoy itself, and what it passes on is judged as its clients'.
  const wanted = proxy ? QUARANTINE_SET : (endpoint?.policySet ?? QUARANTINE_SET);
  const { slot, ifindex, ipv4, ipv6 } = pod;
  return {
    table: 'pods',
    slot,
    ifindex,
    set: wanted === 0n || usable(wanted) ? wanted : QUARANTINE_SET,
    ...(ipv4 === undefined ? {} : { ipv4 }),
    ...(ipv6 === undefined ? {} : { ipv6 }),
    ...(proxy ? { proxy: true } : {}),
    tenant: hash64(`tenant ${pod.namespace}`),
  };
}

/** What a proxy may do, it may as long as the operator says so. */
function isProxy(pod: LocalPod, endpoint: Endpoint | undefined): boolean {
  return pod.proxy !== undefined && endpoint?.proxy === true;
}

export function podPrefixes({ ipv4, ipv6 }: LocalPod): string[] {
  return [ipv4, ipv6].flatMap((address) => (address === undefined ? [] : (hostPrefix(address) ?? [])));
}

/** The class that this node itself gives a local pod's address, as long as the operator has no row for it. */
export function podAddressRow(prefix: string, endpoint: Endpoint): AddressRow {
  return { table: 'addresses', prefix, class: endpoint.class, kind: 'pod' };
}
