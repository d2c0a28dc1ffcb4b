import { AddressKind } from '@weft/node-api';
import { hash64 } from '../hash.ts';
import type { CidrRecord } from '../policy/policy-table.ts';
import type { SelectorRecord } from './selector-table.ts';

/** What an address is before any policy looks at it. */
export type ClassKind = 'world-ipv4' | 'world-ipv6' | 'pod' | 'host' | 'remote-node';

/** A peer that a rule can name and that every node can tell apart without looking at pods or CIDRs. */
export type BuiltIn = 'all' | 'cluster' | 'pods' | 'host' | 'remote-node' | 'world' | 'world-ipv4' | 'world-ipv6';

/** What a node's policies can tell of an address. */
export interface ClassRecord {
  readonly id: bigint;
  readonly kind: ClassKind;
  /** The selectors or CIDRs in use that it matches. */
  readonly matches: ReadonlySet<SelectorRecord | CidrRecord>;
  readonly serials: string;
  /** On how many nodes it exists. */
  nodes: number;
}

const MATCHED: Record<ClassKind, readonly BuiltIn[]> = {
  'world-ipv4': ['all', 'world', 'world-ipv4'],
  'world-ipv6': ['all', 'world', 'world-ipv6'],
  pod: ['all', 'cluster', 'pods'],
  host: ['all', 'cluster', 'host'],
  'remote-node': ['all', 'cluster', 'remote-node'],
};

export function matchesBuiltIn(kind: ClassKind, peer: BuiltIn): boolean {
  return MATCHED[kind].includes(peer);
}

export function addressKind(kind: ClassKind): AddressKind {
  switch (kind) {
    case 'pod':
      return AddressKind.ADDRESS_KIND_POD;
    case 'host':
      return AddressKind.ADDRESS_KIND_HOST;
    case 'remote-node':
      return AddressKind.ADDRESS_KIND_REMOTE_NODE;
    default:
      return AddressKind.ADDRESS_KIND_WORLD;
  }
}

/** The classes that match nothing but built-in peers: equal on every node, whatever its policies. */
export const plainClasses: Readonly<Record<ClassKind, ClassRecord>> = {
  'world-ipv4': makeClass('world-ipv4', [], ''),
  'world-ipv6': makeClass('world-ipv6', [], ''),
  pod: makeClass('pod', [], ''),
  host: makeClass('host', [], ''),
  'remote-node': makeClass('remote-node', [], ''),
};

/** One record for equal classes, so that they can be compared by reference. */
export class ClassTable {
  readonly #bySerials = new Map<string, ClassRecord>();

  /** @param matched sorted by key, so that the id derives from content */
  intern(kind: ClassKind, matched: readonly (SelectorRecord | CidrRecord)[]): ClassRecord {
    if (matched.length === 0) return plainClasses[kind];
    let serials: string = kind;
    for (const { serial } of matched) serials += `,${serial}`;
    let record = this.#bySerials.get(serials);
    if (record === undefined) {
      record = makeClass(kind, matched, serials);
      this.#bySerials.set(serials, record);
    }
    return record;
  }

  /** To be called for a class that no node has any more. */
  collect(record: ClassRecord): void {
    if (record.nodes === 0) this.#bySerials.delete(record.serials);
  }

  get size(): number {
    return this.#bySerials.size;
  }
}

function makeClass(kind: ClassKind, matched: readonly (SelectorRecord | CidrRecord)[], serials: string): ClassRecord {
  const id = hash64([`class ${kind}`, ...matched.map(({ key }) => key)].join('\n'));
  return { id, kind, matches: new Set(matched), serials, nodes: 0 };
}
