/** What the planner asks of a row: its key, whether two say the same, how specific it is. */
import type { AddressRow, BackendSetRow, PodRow, PolicyRow, Row, ServiceRow } from 'bpf-loader-napi';
import { prefixLength } from './address.ts';

export const INGRESS_ENFORCED = 1n;
export const EGRESS_ENFORCED = 2n;
/** Default deny in both directions and no entry: for pods whose policy this node can't enforce as it should. */
export const QUARANTINE_SET = INGRESS_ENFORCED | EGRESS_ENFORCED;

/** Equal for two rows exactly if they are one entry of one map. */
export function rowKey(row: Row): string {
  switch (row.table) {
    case 'addresses':
      return row.prefix;
    case 'policy':
      return `${row.set}/${policyKey(row)}`;
    case 'pods':
      return `${row.slot}`;
    case 'proxy':
      return 'proxy';
    case 'services':
      return `${row.address}|${row.port}|${row.protocol}|${row.scope}|${row.family}`;
    case 'backends':
      return `${row.set}`;
  }
}

/** A policy row's key within its set. */
export function policyKey(row: PolicyRow): string {
  return `${row.class}|${row.direction}|${row.protocol}|${row.port}|${row.portBits}`;
}

/** Both have the same key and value. */
export function sameRow(a: Row, b: Row): boolean {
  switch (a.table) {
    case 'addresses':
      return b.table === 'addresses' && sameAddress(a, b);
    case 'policy':
      return b.table === 'policy' && samePolicy(a, b);
    case 'pods':
      return b.table === 'pods' && samePod(a, b);
    case 'proxy':
      return b.table === 'proxy' && a.slot === b.slot;
    case 'services':
      return b.table === 'services' && sameService(a, b);
    case 'backends':
      return b.table === 'backends' && sameBackends(a, b);
  }
}

function sameAddress(a: AddressRow, b: AddressRow): boolean {
  return a.prefix === b.prefix && a.class === b.class && a.kind === b.kind;
}

function samePolicy(a: PolicyRow, b: PolicyRow): boolean {
  return rowKey(a) === rowKey(b) && a.verdict === b.verdict && a.rule === b.rule && a.proxyPort === b.proxyPort;
}

function samePod(a: PodRow, b: PodRow): boolean {
  return (
    a.slot === b.slot &&
    a.ifindex === b.ifindex &&
    a.set === b.set &&
    a.ipv4 === b.ipv4 &&
    a.ipv6 === b.ipv6 &&
    a.proxy === b.proxy &&
    a.tenant === b.tenant
  );
}

function sameService(a: ServiceRow, b: ServiceRow): boolean {
  return (
    rowKey(a) === rowKey(b) &&
    a.backends === b.backends &&
    a.service === b.service &&
    a.count === b.count &&
    a.nodePort === b.nodePort &&
    a.affinitySeconds === b.affinitySeconds &&
    a.maglevSize === b.maglevSize &&
    a.proxyPort === b.proxyPort
  );
}

function sameBackends(a: BackendSetRow, b: BackendSetRow): boolean {
  return (
    a.set === b.set &&
    a.maglevSize === b.maglevSize &&
    a.backends.length === b.backends.length &&
    a.backends.every((x, i) => x.address === b.backends[i]?.address && x.port === b.backends[i]?.port)
  );
}

/** Bits of a policy row's key that count: the longest match decides. */
export function policyBits(row: PolicyRow): number {
  return row.protocol === 0 ? 0 : 8 + row.portBits;
}

/** Order in which entries may be added: none hides one that is yet to come. */
export function mostSpecificFirst(rows: Iterable<PolicyRow>): PolicyRow[] {
  return [...rows].sort((a, b) => policyBits(b) - policyBits(a));
}

/** Order in which entries may be removed: each leaves what it covered to an entry that stays. */
export function leastSpecificFirst(rows: Iterable<PolicyRow>): PolicyRow[] {
  return [...rows].sort((a, b) => policyBits(a) - policyBits(b));
}

export function longestPrefixFirst<T extends { readonly prefix: string }>(rows: Iterable<T>): T[] {
  return [...rows].sort((a, b) => prefixLength(b.prefix) - prefixLength(a.prefix));
}

export function shortestPrefixFirst<T extends { readonly prefix: string }>(rows: Iterable<T>): T[] {
  return longestPrefixFirst(rows).reverse();
}
