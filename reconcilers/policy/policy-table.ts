import type { PolicyRef } from '@weft/node-api';
import type { Peer, PolicyDirection, PolicyFact, PolicyRule } from '../facts.ts';
import type { BuiltIn } from '../identity/class-table.ts';
import type { SelectorRecord, SelectorTable } from '../identity/selector-table.ts';
import { type Cidr, type ParsedCidr, parseCidr } from '../net/address.ts';
import { addCount, type NodeRecord } from '../records.ts';

/** A range of addresses outside of the cluster that policies name. */
export interface CidrRecord {
  readonly serial: number;
  readonly key: string;
  readonly cidr: ParsedCidr;
  readonly except: readonly ParsedCidr[];
  /** Nodes where some policy set uses it. */
  readonly nodes: Set<NodeRecord>;
  uses: number;
}

export interface CompiledRule {
  readonly source: PolicyRule;
  readonly builtIns: readonly BuiltIn[];
  readonly selectors: readonly SelectorRecord[];
  readonly cidrs: readonly CidrRecord[];
}

/** One spec of a policy. */
export interface CompiledPart {
  /** Kind, namespace and name, and the number of the spec after the first. */
  readonly id: string;
  readonly policy: PolicyRecord;
  readonly subject: SelectorRecord;
  readonly defaultDeny: readonly PolicyDirection[];
  readonly rules: readonly CompiledRule[];
  /** Port names that its rules use: the same policy means other ports for pods that name them differently. */
  readonly portNames: ReadonlySet<string>;
}

export interface PolicyRecord {
  /** As in `CiliumNetworkPolicy/shop/api-from-frontend`. */
  readonly key: string;
  /** As last told; undefined: gone. */
  fact: PolicyFact | undefined;
  ref: PolicyRef;
  parts: readonly CompiledPart[];
  /** Node name to the names of the policy sets there that contain it; kept up to date in place. */
  readonly sets: Map<string, readonly string[]>;
  pods: number;
  /** Listeners that do not hold all of its HTTP rules, because there are too many. */
  readonly crowded: Set<bigint>;
  /** Raised by every change of `sets`, `crowded` or `fact`. */
  version: number;
  /** What was last told about it. */
  told: string;
}

export function policyKey(fact: Pick<PolicyFact, 'policyKind' | 'namespace' | 'name'>): string {
  return `${fact.policyKind}/${fact.namespace === '' ? '' : `${fact.namespace}/`}${fact.name}`;
}

export function newPolicy(fact: PolicyFact): PolicyRecord {
  return {
    key: policyKey(fact),
    fact,
    ref: policyRef(fact),
    parts: [],
    sets: new Map(),
    pods: 0,
    crowded: new Set(),
    version: 0,
    told: '',
  };
}

export function policyRef(fact: PolicyFact): PolicyRef {
  const { policyKind, namespace, name, generation } = fact;
  return { kind: policyKind, namespace, name, generation: BigInt(generation) };
}

/** Policies with their selectors and CIDRs looked up. */
export class PolicyTable {
  readonly #selectors: SelectorTable;
  readonly #parts = new Map<string, CompiledPart>();
  readonly #cidrs = new Map<string, CidrRecord>();
  /** Every prefix that some policy names, also in an exception. */
  readonly #prefixes = new Map<Cidr, number>();
  #serials = 0;
  /** Selectors whose members nobody has looked for yet; the caller empties it. */
  readonly created = new Set<SelectorRecord>();
  /** Selectors that lost a user; the caller collects and empties it. */
  readonly released = new Set<SelectorRecord>();

  constructor(selectors: SelectorTable) {
    this.#selectors = selectors;
  }

  get size(): number {
    return this.#parts.size + this.#cidrs.size + this.#prefixes.size;
  }

  part(id: string): CompiledPart | undefined {
    return this.#parts.get(id);
  }

  namesPrefix(prefix: Cidr): boolean {
    return this.#prefixes.has(prefix);
  }

  /** Compiles what `policy.fact` says now and drops what it said before. @returns the parts of before. */
  replace(policy: PolicyRecord): readonly CompiledPart[] {
    const before = policy.parts;
    const { fact } = policy;
    if (fact !== undefined) policy.ref = policyRef(fact);
    policy.parts = (fact?.parts ?? []).map((part, index): CompiledPart => {
      const rules = part.rules.map((rule) => this.#compileRule(rule));
      return {
        id: index === 0 ? policy.key : `${policy.key}#${index}`,
        policy,
        subject: this.#acquire(part.subject),
        defaultDeny: part.defaultDeny,
        rules,
        portNames: new Set(
          part.rules.flatMap(({ ports }) => ports.flatMap((p) => ('portName' in p ? [p.portName] : []))),
        ),
      };
    });
    for (const part of before) this.#drop(part);
    for (const part of policy.parts) {
      this.#parts.set(part.id, part);
      part.subject.parts.add(part);
    }
    return before;
  }

  #drop(part: CompiledPart): void {
    this.#parts.delete(part.id);
    part.subject.parts.delete(part);
    this.#release(part.subject);
    for (const rule of part.rules) {
      for (const selector of rule.selectors) this.#release(selector);
      for (const cidr of rule.cidrs) this.#releaseCidr(cidr);
    }
  }

  #acquire(selector: Parameters<SelectorTable['acquire']>[0]): SelectorRecord {
    const { record, created } = this.#selectors.acquire(selector);
    if (created) this.created.add(record);
    return record;
  }

  #release(record: SelectorRecord): void {
    this.#selectors.release(record);
    this.released.add(record);
  }

  #compileRule(source: PolicyRule): CompiledRule {
    const builtIns = new Set<BuiltIn>();
    const selectors = new Set<SelectorRecord>();
    const cidrs = new Set<CidrRecord>();
    for (const peer of source.peers) {
      if (peer.kind === 'entity') builtIns.add(peer.entity);
      else if (peer.kind === 'cidr') {
        const record = this.#cidr(peer);
        if (record !== undefined && cidrs.has(record)) this.#releaseCidr(record);
        if (record !== undefined) cidrs.add(record);
      } else if (peer.selector.length === 0) builtIns.add('pods');
      else {
        const record = this.#acquire(peer.selector);
        // A rule holds each selector once, however often it was written.
        if (selectors.has(record)) this.#release(record);
        selectors.add(record);
      }
    }
    return { source, builtIns: [...builtIns], selectors: [...selectors], cidrs: [...cidrs] };
  }

  #cidr(peer: Extract<Peer, { kind: 'cidr' }>): CidrRecord | undefined {
    const cidr = parseCidr(peer.cidr);
    const except = peer.except.map((text) => parseCidr(text)).filter((parsed) => parsed !== undefined);
    if (cidr === undefined || except.length !== peer.except.length) return undefined;
    const key = `cidr ${[cidr.text, ...peer.except].join(' - ')}`;
    let record = this.#cidrs.get(key);
    if (record === undefined) {
      record = { serial: --this.#serials, key, cidr, except, nodes: new Set(), uses: 0 };
      this.#cidrs.set(key, record);
      for (const { text } of [cidr, ...except]) addCount(this.#prefixes, text, 1);
    }
    record.uses++;
    return record;
  }

  #releaseCidr(record: CidrRecord): void {
    if (--record.uses > 0) return;
    this.#cidrs.delete(record.key);
    for (const { text } of [record.cidr, ...record.except]) addCount(this.#prefixes, text, -1);
  }
}
