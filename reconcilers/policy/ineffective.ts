import type { PolicyRef } from '@weft/node-api';
import type { PolicyDirection } from '../facts.ts';
import type { PodRecord } from '../records.ts';
import type { Visits } from '../visits.ts';
import type { PolicyRecord } from './policy-table.ts';
import { allowsNoMore, defaultDenies, selectorWithin, unaskedRules } from './subsume.ts';

export interface Ineffective {
  readonly by: PolicyRef;
  readonly direction: PolicyDirection;
  readonly message: string;
}

/** Holds as long as `by` selects all pods of `policy`. */
interface Pair {
  readonly policy: PolicyRecord;
  readonly by: PolicyRecord;
  readonly direction: PolicyDirection;
  /** HTTP rules that have no effect; undefined: the whole policy restricts nothing in this direction. */
  readonly unasked: readonly number[] | undefined;
  /** How many pods `policy` selects that `by` does not. */
  outside: number;
}

/** Which policies others make ineffective: allows are a union, so a wider one leaves nothing to restrict. */
export class IneffectiveTable {
  readonly #pairs = new Map<PolicyRecord, Set<Pair>>();
  /** Of a namespaced policy only those of its namespace, and the cluster-wide ones, can select the same pods. */
  readonly #byNamespace = new Map<string, Set<PolicyRecord>>();
  readonly #pairsBy = new Map<PolicyRecord, Set<Pair>>();

  get size(): number {
    return this.#byNamespace.size + this.#pairs.size + this.#pairsBy.size;
  }

  /** Forgets what is known about a policy. @returns the policies about which something else holds now. */
  drop(policy: PolicyRecord): PolicyRecord[] {
    const pairs = [...(this.#pairs.get(policy) ?? []), ...(this.#pairsBy.get(policy) ?? [])];
    for (const pair of pairs) {
      this.#pairs.get(pair.policy)?.delete(pair);
      this.#pairsBy.get(pair.by)?.delete(pair);
    }
    this.#pairs.delete(policy);
    this.#pairsBy.delete(policy);
    const { namespace } = policy.ref;
    this.#byNamespace.get(namespace)?.delete(policy);
    if (this.#byNamespace.get(namespace)?.size === 0) this.#byNamespace.delete(namespace);
    return pairs.map((pair) => pair.policy);
  }

  /** To be called before `add`, for all policies that changed. */
  register(policy: PolicyRecord): void {
    const { namespace } = policy.ref;
    this.#byNamespace.set(namespace, (this.#byNamespace.get(namespace) ?? new Set()).add(policy));
  }

  /** Compares a policy with others; their pods must be as of now. @returns whom it may concern. */
  add(policy: PolicyRecord, visits: Visits): PolicyRecord[] {
    const { namespace } = policy.ref;
    const names = namespace === '' ? [...this.#byNamespace.keys()] : ['', namespace];
    const all = names.flatMap((name) => [...(this.#byNamespace.get(name) ?? [])]);
    const concerned: PolicyRecord[] = [];
    for (const other of all) {
      visits.count++;
      if (other === policy) continue;
      if (this.#compare(policy, other)) concerned.push(policy);
      if (this.#compare(other, policy)) concerned.push(other);
    }
    return concerned;
  }

  /** A pod that `before` selected is selected by `after`. */
  move(before: ReadonlySet<PolicyRecord>, after: ReadonlySet<PolicyRecord>): void {
    if (before === after) return;
    for (const policy of before) this.#recount(policy, before, after);
    for (const policy of after) if (!before.has(policy)) this.#recount(policy, before, after);
  }

  #recount(policy: PolicyRecord, before: ReadonlySet<PolicyRecord>, after: ReadonlySet<PolicyRecord>): void {
    const pairs = this.#pairs.get(policy);
    if (pairs === undefined) return;
    for (const pair of pairs) pair.outside += Number(outside(pair, after)) - Number(outside(pair, before));
  }

  of(policy: PolicyRecord): Ineffective[] {
    if (policy.pods === 0) return [];
    const pairs = [...(this.#pairs.get(policy) ?? [])].filter((pair) => pair.outside === 0);
    return pairs
      .sort((a, b) => compareKeys(a.by.key + a.direction, b.by.key + b.direction))
      .map((pair) => ({ by: pair.by.ref, direction: pair.direction, message: sentence(pair) }));
  }

  /** Of two that allow the same, the one that sorts later is ineffective, not both. */
  #compare(policy: PolicyRecord, by: PolicyRecord): boolean {
    const findings = (['ingress', 'egress'] as const).flatMap((direction) => {
      const unasked = this.#finding(policy, by, direction);
      return unasked === false ? [] : [{ direction, unasked }];
    });
    for (const { direction, unasked } of findings) {
      // Known already, if both policies changed in one update.
      if ([...(this.#pairs.get(policy) ?? [])].some((p) => p.by === by && p.direction === direction)) continue;
      const pair: Pair = { policy, by, direction, unasked, outside: 0 };
      if (!selectsAlways(policy, by)) pair.outside = countOutside(pair);
      this.#pairs.set(policy, (this.#pairs.get(policy) ?? new Set()).add(pair));
      this.#pairsBy.set(by, (this.#pairsBy.get(by) ?? new Set()).add(pair));
    }
    return findings.length > 0;
  }

  #finding(policy: PolicyRecord, by: PolicyRecord, direction: PolicyDirection): Pair['unasked'] | false {
    const whole =
      widens(policy, by, direction) &&
      (compareKeys(by.key, policy.key) < 0 || !widens(by, policy, direction) || !samePods(policy, by));
    if (whole) return undefined;
    if (policy.fact === undefined || by.fact === undefined || by.parts.length !== 1) return false;
    const unasked = unaskedRules(policy.fact, by.fact, direction);
    return unasked.length > 0 && unasked;
  }
}

function widens(policy: PolicyRecord, by: PolicyRecord, direction: PolicyDirection): boolean {
  if (policy.fact === undefined || by.fact === undefined) return false;
  if (!defaultDenies(policy.fact, direction) || !by.parts.every((part) => part.defaultDeny.includes(direction)))
    return false;
  // Which part of several selects a pod would have to be followed: only policies with one spec make others ineffective.
  return by.parts.length === 1 && allowsNoMore(policy.fact, by.fact, direction);
}

function samePods(a: PolicyRecord, b: PolicyRecord): boolean {
  return selectsAlways(a, b) && selectsAlways(b, a);
}

function selectsAlways(policy: PolicyRecord, by: PolicyRecord): boolean {
  const outer = by.parts[0];
  return outer !== undefined && policy.parts.every((p) => selectorWithin(p.subject.selector, outer.subject.selector));
}

function countOutside(pair: Pair): number {
  const pods = new Set<PodRecord>(pair.policy.parts.flatMap((part) => [...part.subject.members]));
  let count = 0;
  for (const pod of pods) if (outside(pair, pod.policies)) count++;
  return count;
}

function outside(pair: Pair, policies: ReadonlySet<PolicyRecord>): boolean {
  return policies.has(pair.policy) && !policies.has(pair.by);
}

function sentence({ policy, by, direction, unasked }: Pair): string {
  const [name, other] = [shown(policy, by), shown(by, policy)];
  if (unasked === undefined) {
    const http = asks(policy, direction) ? ', and its HTTP rules have no effect' : '';
    return `${other} already allows everything that ${name} allows to the same pods; ${name} restricts nothing${http}`;
  }
  const rules = unasked.map((index) => `${direction}[${index}]`).join(', ');
  return `${other} already allows all requests on the connections of ${rules} of ${name}; its HTTP rules there have no effect`;
}

function asks({ fact }: PolicyRecord, direction: PolicyDirection): boolean {
  return fact?.parts.some(({ rules }) => rules.some((rule) => rule.direction === direction && rule.http)) ?? false;
}

/** With its kind, where the names are the same. */
function shown(policy: PolicyRecord, other: PolicyRecord): string {
  return policy.ref.name === other.ref.name ? policy.key : policy.ref.name;
}

function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
