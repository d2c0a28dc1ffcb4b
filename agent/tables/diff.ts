/** Whole tables compared: what start-up and the periodic repair do about a kernel that differs from what it should be. */
import type { AddressRow, BackendSetRow, PodRow, PolicyRow, Row, ServiceRow, Step, TableName } from 'bpf-loader-napi';
import { prefixLength } from './address.ts';
import type { Change } from './change.ts';
import { longestMatch } from './lpm.ts';
import { planChange } from './plan.ts';
import { rowKey, sameRow } from './rows.ts';
import { planServices } from './service-plan.ts';

export interface Tables {
  readonly addresses: readonly AddressRow[];
  readonly policy: readonly PolicyRow[];
  readonly pods: readonly PodRow[];
  readonly services: readonly ServiceRow[];
  readonly backends: readonly BackendSetRow[];
}

/** How one table differs from what it should hold. */
export interface Drift {
  readonly table: TableName;
  readonly missing: number;
  readonly different: number;
  readonly extra: number;
}

export interface TablePlan {
  readonly make: readonly Step[];
  readonly change: readonly Step[];
  /** Tables that differ; empty: nothing to do. */
  readonly drift: readonly Drift[];
}

/** The least that turns one state of the tables into the other, in an order that keeps every verdict meaningful. */
export function planTables(actual: Tables, wanted: Tables): TablePlan {
  const services = compare(actual.services, wanted.services);
  const backends = compare(actual.backends, wanted.backends);
  const verdicts = planChange(changeOf(actual, wanted));
  const served = planServices({
    upserts: pick(services, 'after'),
    deletes: gone(services),
    backends: pick(backends, 'after'),
    unused: gone(backends),
  });
  const drift = [
    driftOf('addresses', compare(actual.addresses, wanted.addresses)),
    driftOf('policy', compare(actual.policy, wanted.policy)),
    driftOf('pods', compare(actual.pods, wanted.pods)),
    driftOf('services', services),
    driftOf('backends', backends),
  ].filter((entry) => entry.missing + entry.different + entry.extra > 0);
  return { make: verdicts.make, change: [...verdicts.change, ...served], drift };
}

interface Difference<R extends Row> {
  readonly before: R | undefined;
  readonly after: R | undefined;
}

function compare<R extends Row>(actual: readonly R[], wanted: readonly R[]): Map<string, Difference<R>> {
  const rest = new Map(actual.map((row) => [rowKey(row), row]));
  const result = new Map<string, Difference<R>>();
  for (const after of wanted) {
    const key = rowKey(after);
    const before = rest.get(key);
    rest.delete(key);
    if (before === undefined || !sameRow(before, after)) result.set(key, { before, after });
  }
  for (const [key, before] of rest) result.set(key, { before, after: undefined });
  return result;
}

function pick<R extends Row>(differences: ReadonlyMap<string, Difference<R>>, end: 'before' | 'after'): R[] {
  return [...differences.values()].flatMap((difference) => difference[end] ?? []);
}

function gone<R extends Row>(differences: ReadonlyMap<string, Difference<R>>): R[] {
  return [...differences.values()].flatMap(({ before, after }) => (before && !after ? [before] : []));
}

function driftOf(table: TableName, differences: ReadonlyMap<string, Difference<Row>>): Drift {
  const all = [...differences.values()];
  const extra = all.filter(({ after }) => after === undefined).length;
  const missing = all.filter(({ before }) => before === undefined).length;
  return { table, missing, different: all.length - missing - extra, extra };
}

function changeOf(actual: Tables, wanted: Tables): Change {
  const before = Map.groupBy(actual.policy, (row) => row.set);
  const after = Map.groupBy(wanted.policy, (row) => row.set);
  const changed = new Set([...compare(actual.policy, wanted.policy).values()].map((d) => (d.after ?? d.before)?.set));
  return {
    sets: [...changed].flatMap((set) =>
      set === undefined ? [] : [{ set, before: before.get(set) ?? [], after: after.get(set) ?? [] }],
    ),
    addresses: [...compare(actual.addresses, wanted.addresses)].map(([prefix, d]) => ({ prefix, ...d })),
    pods: [...compare(actual.pods, wanted.pods).values()].map((d) => ({
      slot: (d.after ?? d.before)?.slot ?? 0,
      ...d,
    })),
    podsBefore: actual.pods,
    matchBefore: matcher(actual.addresses),
    matchAfter: matcher(wanted.addresses),
    otherSets: () => [...after].filter(([set]) => !changed.has(set)).map(([set, rows]) => ({ set, rows })),
  };
}

function matcher(rows: readonly AddressRow[]): (prefix: string) => AddressRow | undefined {
  const table = new Map(rows.map((row) => [row.prefix, row]));
  const lengths = new Set(rows.map((row) => prefixLength(row.prefix)));
  return (prefix) => longestMatch(prefix, lengths, (key) => table.get(key));
}
