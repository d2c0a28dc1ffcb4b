import {
  Direction,
  type NodeResource,
  type PolicyEntry,
  type PolicyListener,
  type PolicyRef,
  type PolicySet,
  type Rule,
  Verdict,
} from '@weft/node-api';
import { routeName } from '../envoy/names.ts';
import type { RoutedRule } from '../envoy/routes.ts';
import type { PodFact, PolicyDirection } from '../facts.ts';
import { hash64 } from '../hash.ts';
import { type ClassRecord, matchesBuiltIn } from '../identity/class-table.ts';
import type { SelectorRecord } from '../identity/selector-table.ts';
import type { NodeRecord } from '../records.ts';
import type { CidrRecord, CompiledPart, CompiledRule, PolicyRecord, PolicyTable } from './policy-table.ts';
import { type PortRule, resolvePorts } from './resolve.ts';

/** The policies that select some pods; equal for pods that the same policies select. */
export interface SetRecord {
  readonly key: string;
  readonly id: bigint;
  /** The resource's. */
  readonly name: string;
  readonly partIds: readonly string[];
  readonly ports: readonly PortMeaning[];
  policies: ReadonlySet<PolicyRecord>;
  /** Nodes that have a pod with it. */
  readonly nodes: Set<NodeRecord>;
  pods: number;
  compiled: CompiledSet;
}

/** What a pod means by a port's name. */
interface PortMeaning {
  readonly name: string;
  readonly protocol: string;
  readonly port: number;
}

interface CompiledSet {
  readonly rules: readonly CompiledRule[];
  /** Of `rules`: what stays the same when the text of a rule changes. */
  readonly names: readonly string[];
  /** As agents get them, in the same order. */
  readonly shown: Rule[];
  readonly ingressDefaultDeny: PolicyRef[];
  readonly egressDefaultDeny: PolicyRef[];
  readonly selectors: ReadonlySet<SelectorRecord>;
  readonly cidrs: ReadonlySet<CidrRecord>;
  /** Those that `entries` name. */
  readonly listeners: Map<bigint, PolicyListener>;
  /** The same on every node. */
  readonly entries: Map<ClassRecord, ClassEntries>;
  /** At this size classes that no node has any more are dropped. (A WeakMap makes each garbage collection slow.) */
  pruneAt: number;
}

type ClassEntries = Record<'ingress' | 'egress', readonly PolicyEntry[]>;

const DIRECTIONS = { ingress: Direction.DIRECTION_INGRESS, egress: Direction.DIRECTION_EGRESS } as const;

export class SetTable {
  readonly #byKey = new Map<string, SetRecord>();
  readonly #byPart = new Map<string, Set<SetRecord>>();
  readonly #policies: PolicyTable;

  constructor(policies: PolicyTable) {
    this.#policies = policies;
  }

  get size(): number {
    return this.#byKey.size + this.#byPart.size;
  }

  withPart(id: string): Iterable<SetRecord> {
    return this.#byPart.get(id) ?? [];
  }

  /** @returns the set of a pod; undefined: no policy selects it. */
  of(pod: PodFact, matched: readonly SelectorRecord[]): SetRecord | undefined {
    const parts: CompiledPart[] = [];
    for (const selector of matched) for (const part of selector.parts) parts.push(part);
    if (parts.length > 1) parts.sort((a, b) => (a.id < b.id ? -1 : 1));
    if (parts.length === 0) return undefined;
    const ports = portMeanings(pod, parts);
    const flags = (enforced(parts, 'ingress') ? 1 : 0) | (enforced(parts, 'egress') ? 2 : 0);
    let key = `set ${flags}`;
    for (const { id } of parts) key += `\n${id}`;
    for (const { name, protocol, port } of ports) key += `\n=${name}/${protocol}/${port}`;
    return this.#byKey.get(key) ?? this.#create(key, flags, parts, ports);
  }

  /** To be called when a policy of the set says something else. */
  recompile(set: SetRecord): void {
    const parts = set.partIds.map((id) => this.#policies.part(id)).filter((part) => part !== undefined);
    set.policies = new Set(parts.map(({ policy }) => policy));
    set.compiled = compile(parts);
  }

  collect(set: SetRecord): void {
    if (set.pods > 0) return;
    this.#byKey.delete(set.key);
    for (const id of set.partIds) {
      const sets = this.#byPart.get(id);
      sets?.delete(set);
      if (sets?.size === 0) this.#byPart.delete(id);
    }
  }

  #create(key: string, flags: number, parts: readonly CompiledPart[], ports: readonly PortMeaning[]): SetRecord {
    const id = ((hash64(key) >> 2n) << 2n) | BigInt(flags);
    const set: SetRecord = {
      key,
      id,
      name: `policyset/${id.toString(16).padStart(16, '0')}`,
      partIds: parts.map((part) => part.id),
      ports,
      policies: new Set(parts.map(({ policy }) => policy)),
      nodes: new Set(),
      pods: 0,
      compiled: compile(parts),
    };
    this.#byKey.set(key, set);
    for (const part of parts) {
      const sets = this.#byPart.get(part.id) ?? new Set();
      this.#byPart.set(part.id, sets.add(set));
    }
    return set;
  }
}

/** The resource of a set on a node that has these classes, sorted by id. */
export function setResource(set: SetRecord, classes: readonly ClassRecord[]): NodeResource {
  const { compiled } = set;
  const lists: (readonly PolicyEntry[])[] = [];
  for (const direction of ['ingress', 'egress'] as const) {
    for (const record of classes) {
      const list = entriesFor(set, record)[direction];
      if (list.length > 0) lists.push(list);
    }
  }
  // Not pushed one by one: most of what an update allocates is here, and it stays.
  const entries = NO_ENTRIES.concat(...lists);
  return {
    resource: {
      $case: 'policySet',
      value: {
        id: set.id,
        entries,
        rules: compiled.shown,
        ingressDefaultDeny: compiled.ingressDefaultDeny,
        egressDefaultDeny: compiled.egressDefaultDeny,
        listeners: listenersOf(compiled, entries),
      },
    },
  };
}

function listenersOf({ listeners }: CompiledSet, entries: readonly PolicyEntry[]): PolicyListener[] {
  if (listeners.size === 0) return [];
  const ids = new Set(
    entries.flatMap(({ verdict, listener }) => (verdict === Verdict.VERDICT_PROXY ? [listener] : [])),
  );
  return [...ids].sort((a, b) => (a < b ? -1 : 1)).flatMap((id) => listeners.get(id) ?? []);
}

/** What a listener of the set enforces, in the same order in every set that has it. */
export function routedRules({ compiled }: SetRecord, { rules }: PolicyListener): RoutedRule[] {
  return rules.flatMap((index) => {
    const source = compiled.rules[index]?.source;
    const ref = compiled.shown[index]?.policy;
    if (source === undefined || ref === undefined) return [];
    const policy = [ref.kind, ref.namespace, ref.name].filter((part) => part !== '').join('/');
    return [{ name: routeName(ref, source.direction, source.index), policy, http: source.http ?? [] }];
  });
}

/** By content: equal content gives equal objects only within one compilation. */
export function sameSet(a: NodeResource, b: NodeResource): boolean {
  if (a.resource?.$case !== 'policySet' || b.resource?.$case !== 'policySet') return false;
  const [left, right] = [a.resource.value, b.resource.value];
  return (
    left.entries.length === right.entries.length &&
    left.entries.every((entry, index) => sameEntry(entry, right.entries[index])) &&
    (left.rules === right.rules || show(left) === show(right))
  );
}

function sameEntry(a: PolicyEntry, b: PolicyEntry | undefined): boolean {
  if (a === b || b === undefined) return a === b;
  return (
    a.class === b.class &&
    a.protocol === b.protocol &&
    a.port === b.port &&
    a.portBits === b.portBits &&
    a.verdict === b.verdict &&
    a.rule === b.rule &&
    a.listener === b.listener &&
    a.direction === b.direction
  );
}

function show({ rules, ingressDefaultDeny, egressDefaultDeny, listeners }: PolicySet): string {
  const writable = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);
  return JSON.stringify([rules, ingressDefaultDeny, egressDefaultDeny, listeners], writable);
}

function entriesFor({ compiled, ports }: SetRecord, record: ClassRecord): ClassEntries {
  const known = compiled.entries.get(record);
  if (known !== undefined) return known;
  const made = {
    ingress: directionEntries(compiled, ports, record, 'ingress'),
    egress: directionEntries(compiled, ports, record, 'egress'),
  };
  if (compiled.entries.size >= compiled.pruneAt) {
    for (const old of compiled.entries.keys()) if (old.nodes === 0) compiled.entries.delete(old);
    compiled.pruneAt = Math.max(64, compiled.entries.size * 2);
  }
  compiled.entries.set(record, made);
  return made;
}

const NO_ENTRIES: PolicyEntry[] = [];

function directionEntries(
  compiled: CompiledSet,
  meanings: readonly PortMeaning[],
  record: ClassRecord,
  direction: PolicyDirection,
): PolicyEntry[] {
  const ports: PortRule[] = [];
  let index = 0;
  for (const rule of compiled.rules) {
    if (rule.source.direction === direction && matchesRule(rule, record))
      ports.push(...rulePorts(meanings, rule, index));
    index++;
  }
  if (ports.length === 0) return NO_ENTRIES;
  const shared = { direction: DIRECTIONS[direction], class: record.id };
  return resolvePorts(ports).map(({ behind, ...entry }) => ({
    ...shared,
    ...entry,
    listener: behind === undefined ? 0n : listenerFor(compiled, direction, behind),
  }));
}

/** The id derives from the names of the rules, not from their text: to change that is to change routes only. */
function listenerFor({ names, listeners }: CompiledSet, direction: PolicyDirection, rules: readonly number[]): bigint {
  const sorted = rules.map((index) => names[index] ?? '').sort();
  const id = hash64([`listener ${direction}`, ...sorted].join('\n'));
  if (!listeners.has(id)) listeners.set(id, { id, rules: [...rules] });
  return id;
}

function matchesRule(rule: CompiledRule, record: ClassRecord): boolean {
  return (
    rule.builtIns.some((peer) => matchesBuiltIn(record.kind, peer)) ||
    rule.selectors.some((selector) => record.matches.has(selector)) ||
    rule.cidrs.some((cidr) => record.matches.has(cidr))
  );
}

function rulePorts(meanings: readonly PortMeaning[], { source }: CompiledRule, rule: number): PortRule[] {
  const http = source.http !== undefined;
  const shared = { deny: source.deny, rule, ...(http ? { http } : {}) };
  const ports = source.ports.flatMap((port): PortRule[] => {
    if (!('portName' in port)) {
      return [
        {
          protocol: http && port.protocol === 'ANY' ? 'TCP' : port.protocol,
          first: port.first,
          last: port.last,
          ...shared,
        },
      ];
    }
    return meanings
      .filter(({ name, protocol }) => name === port.portName && (port.protocol === 'ANY' || port.protocol === protocol))
      .map((meaning) => ({
        protocol: meaning.protocol === 'UDP' || meaning.protocol === 'SCTP' ? meaning.protocol : 'TCP',
        first: meaning.port,
        last: meaning.port,
        ...shared,
      }));
  });
  return http ? ports.filter(({ protocol }) => protocol === 'TCP') : ports;
}

function portMeanings(pod: PodFact, parts: readonly CompiledPart[]): PortMeaning[] {
  if (parts.every(({ portNames }) => portNames.size === 0)) return [];
  const used = pod.ports.filter(({ name }) => parts.some(({ portNames }) => portNames.has(name)));
  const unique = new Map(used.map((port) => [`${port.name}/${port.protocol}/${port.port}`, port]));
  return [...unique.keys()].sort().flatMap((key) => unique.get(key) ?? []);
}

function enforced(parts: readonly CompiledPart[], direction: PolicyDirection): boolean {
  return parts.some(({ defaultDeny }) => defaultDeny.includes(direction));
}

function compile(parts: readonly CompiledPart[]): CompiledSet {
  const rules = parts.flatMap((part) => [...part.rules].sort(compareRules).map((rule) => ({ part, rule })));
  const denying = (direction: PolicyDirection): PolicyRef[] => {
    const policies = parts.filter(({ defaultDeny }) => defaultDeny.includes(direction)).map(({ policy }) => policy);
    return [...new Set(policies)].map(({ ref }) => ref);
  };
  return {
    rules: rules.map(({ rule }) => rule),
    names: rules.map(({ part, rule }) => nameOf(part, rule)),
    shown: rules.map(({ part, rule: { source } }) => ({
      policy: part.policy.ref,
      direction: DIRECTIONS[source.direction],
      index: source.index,
      deny: source.deny,
      reason: source.reason,
      http: (source.http ?? []).map((match) => ({ ...match, headers: [...match.headers] })),
    })),
    ingressDefaultDeny: denying('ingress'),
    egressDefaultDeny: denying('egress'),
    selectors: new Set(rules.flatMap(({ rule }) => rule.selectors)),
    cidrs: new Set(rules.flatMap(({ rule }) => rule.cidrs)),
    listeners: new Map(),
    entries: new Map(),
    pruneAt: 64,
  };
}

function nameOf({ id }: CompiledPart, { source }: CompiledRule): string {
  return `${id} ${source.direction}[${source.index}] toPorts[${source.toPorts ?? 0}]`;
}

/** Ingress, then egress; denials first; then as written. */
function compareRules({ source: a }: CompiledRule, { source: b }: CompiledRule): number {
  if (a.direction !== b.direction) return a.direction === 'ingress' ? -1 : 1;
  if (a.deny !== b.deny) return a.deny ? -1 : 1;
  return a.index - b.index;
}
