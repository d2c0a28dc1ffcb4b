/** The rows of the compiler's tables that several concerns share. */
import type { NodeResource } from '@weft/node-api';
import type { ListenerRecord } from './envoy/listener-table.ts';
import type { NodeFact, PodFact } from './facts.ts';
import type { AddressRecord } from './identity/address-table.ts';
import type { ClassRecord } from './identity/class-table.ts';
import type { SelectorRecord } from './identity/selector-table.ts';
import type { CidrRecord, PolicyRecord } from './policy/policy-table.ts';
import type { SetRecord } from './policy/set-table.ts';

export interface PodRecord {
  readonly key: string;
  /** As last told; undefined: gone. */
  fact: PodFact | undefined;
  // What follows is as of the last update, and the basis of the next one's differences.
  /** Sorted by key. */
  matched: readonly SelectorRecord[];
  set: SetRecord | undefined;
  policies: ReadonlySet<PolicyRecord>;
  /** Where it has an endpoint. */
  home: NodeRecord | undefined;
  /** The addresses that are this pod's, and nobody else's. */
  addresses: readonly AddressRecord[];
  endpoint: PlacedEndpoint | undefined;
}

/** What the pod's node was told. */
export interface PlacedEndpoint {
  readonly node: NodeRecord;
  readonly name: string;
  readonly resource: NodeResource;
  readonly class: ClassRecord;
}

export interface NodeRecord {
  readonly name: string;
  fact: NodeFact | undefined;
  /** Pods that have an endpoint here. */
  pods: number;
  /** With the number of pods that each decides for. */
  readonly sets: Map<SetRecord, number>;
  /** `sets` by name; undefined: `sets` has changed since. */
  sortedSets: readonly SetRecord[] | undefined;
  /** What the policies here can tell apart; with the number of sets that use each. */
  readonly selectors: Map<SelectorRecord, number>;
  readonly cidrs: Map<CidrRecord, number>;
  /** Pods anywhere in the cluster whose class is not that of their pod CIDR. */
  readonly listed: Map<PodRecord, ClassRecord>;
  /** Resources by name that CIDRs of policies cause. */
  readonly ranges: Map<string, { readonly resource: NodeResource; readonly class: ClassRecord }>;
  /** Resources by name for this node's own addresses. */
  readonly own: Map<string, NodeResource>;
  /** Classes beside the plain ones; with the number of addresses. */
  readonly classes: Map<ClassRecord, number>;
  /** The plain ones and `classes`, sorted by id; undefined: `classes` has changed since. */
  sortedClasses: readonly ClassRecord[] | undefined;
  /** What the agent was told. */
  readonly setResources: Map<SetRecord, NodeResource>;
  /** Sets here that need Envoy. */
  readonly proxied: Set<SetRecord>;
  readonly listeners: Map<bigint, ListenerRecord>;
  /** What Envoy was told, by name. */
  readonly envoy: Map<string, NodeResource>;
}

const NO_POLICIES: ReadonlySet<PolicyRecord> = new Set();

export function newPod(key: string): PodRecord {
  return {
    key,
    fact: undefined,
    matched: [],
    set: undefined,
    policies: NO_POLICIES,
    home: undefined,
    addresses: [],
    endpoint: undefined,
  };
}

export function newNode(name: string): NodeRecord {
  return {
    name,
    fact: undefined,
    pods: 0,
    sets: new Map(),
    sortedSets: undefined,
    selectors: new Map(),
    cidrs: new Map(),
    listed: new Map(),
    ranges: new Map(),
    own: new Map(),
    classes: new Map(),
    sortedClasses: undefined,
    setResources: new Map(),
    proxied: new Set(),
    listeners: new Map(),
    envoy: new Map(),
  };
}

/** @returns the new count; a row whose count is 0 is deleted. */
export function addCount<K>(counts: Map<K, number>, key: K, difference: number): number {
  const count = (counts.get(key) ?? 0) + difference;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
  return count;
}
