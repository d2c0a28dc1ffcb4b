/**
 * Orders a change of the tables so that at every moment each verdict is that of the state before or after.
 *
 * A verdict is policy[set of the pod, class of the peer]; three tables, written one row at a time. What makes it safe:
 *
 *     A  make      entries of sets that no pod uses yet, of aliases, of temporary sets
 *     B  rename    addresses that change class move to an alias that means what their old class meant
 *     C  flip      each pod that changes its set does so with one write, to a set that is complete
 *     D  in place  sets that pods keep: added most specific first, removed least specific first; aliases likewise
 *     E  settle    addresses move from the alias, which now means the same, to their new class
 *     F  unflip    pods leave temporary sets
 *     G  remove    what nothing refers to
 *     H  bump      epochs, so that live connections are judged again
 *
 * Aliases and temporary sets are needed only where one change both moves addresses and touches sets or pods' sets;
 * a change of addresses alone, or of sets alone, has none.
 */
import type { PodRow, PolicyRow, Row, Step } from 'bpf-loader-napi';
import type { Change, SetChange } from './change.ts';
import { hash64 } from './hash.ts';
import { aliasEntries, aliasRow, distinctMoves, type Move, movesOf, settledRow } from './moves.ts';
import {
  EGRESS_ENFORCED,
  INGRESS_ENFORCED,
  leastSpecificFirst,
  longestPrefixFirst,
  mostSpecificFirst,
  policyKey,
  sameRow,
  shortestPrefixFirst,
} from './rows.ts';

export interface Plan {
  /** Step A: if a row of it fails, pods must not flip to its set. */
  readonly make: readonly Step[];
  readonly change: readonly Step[];
  /** Temporary sets and what each stands for, for whoever names rules. */
  readonly temporary: ReadonlyMap<bigint, bigint>;
}

/** More alias entries than this are not worth their room: then addresses move directly, in a still careful order. */
const MAX_ALIAS_ENTRIES = 8192;
const ENFORCED = INGRESS_ENFORCED | EGRESS_ENFORCED;

export function planChange(change: Change): Plan {
  const moves = movesOf(change);
  const touchesSets =
    change.sets.some(({ before, after }) => !sameRows(before, after)) ||
    change.pods.some(({ before, after }) => flips(before, after));
  if (moves.length === 0 || !touchesSets || change.podsBefore.length === 0) return assemble(change, moves, []);
  const plan = assemble(change, moves, distinctMoves(moves));
  return countRows(plan.make) > MAX_ALIAS_ENTRIES ? assemble(change, moves, []) : plan;
}

function countRows(steps: readonly Step[]): number {
  return steps.reduce((sum, step) => sum + (step.op === 'bump' ? 0 : step.rows.length), 0);
}

function assemble(change: Change, moves: readonly Move[], aliases: readonly Move[]): Plan {
  const live = new Set(change.podsBefore.map((pod) => pod.set));
  const aliased = aliases.length > 0;
  const sets = withAliases(change, aliases, live);
  const unused = sets.filter(({ set }) => !live.has(set));
  const used = sets.filter(({ set }) => live.has(set));
  const temporary = temporarySets(change, used, aliased);
  const temporaryRows = [...temporary.values()].flatMap(({ rows }) => rows);

  const make: Step[] = [
    upsert(mostSpecificFirst(unused.flatMap(added))),
    remove(leastSpecificFirst(unused.flatMap(removed))),
    upsert(used.flatMap((set) => set.aliasBefore)),
    upsert(temporaryRows),
  ];
  const steps: Step[] = [
    ...(aliased ? renamed(change, moves) : [upsert(longestPrefixFirst(newAddresses(change)))]), // B
    remove(change.pods.flatMap(({ before, after }) => (before && !after ? [before] : []))), // C
    upsert(podFlips(change, temporary)),
    upsert(mostSpecificFirst(used.flatMap(added))), // D
    remove(leastSpecificFirst(used.flatMap(removed))),
    upsert(aliased ? moves.flatMap((move) => settledRow(move, change) ?? []) : []), // E
    upsert(change.pods.flatMap(({ before, after }) => (after && flipsTo(temporary, before, after) ? [after] : []))), // F
    remove(temporaryRows), // G
    remove(sets.flatMap(aliasRowsOf)),
    remove(shortestPrefixFirst(change.addresses.flatMap(({ before, after }) => (before && !after ? [before] : [])))),
    { op: 'bump', slots: bumped(change, moves) }, // H
  ];
  return {
    make: make.filter(notEmpty),
    change: steps.filter(notEmpty),
    temporary: new Map([...temporary].map(([set, { id }]) => [id, set])),
  };
}

/** Rows that move no address come first: they keep what they cover out of the moves around them. */
function renamed(change: Change, moves: readonly Move[]): Step[] {
  const moved = new Set(moves.map((move) => move.change.prefix));
  return [
    upsert(newAddresses(change).filter((row) => !moved.has(row.prefix))),
    upsert(moves.map((move) => aliasRow(move, change))),
  ];
}

/** A set with what it says of aliases, before and after. */
interface AliasedSet extends SetChange {
  readonly aliasBefore: readonly PolicyRow[];
  readonly aliasAfter: readonly PolicyRow[];
}

function withAliases(change: Change, aliases: readonly Move[], live: ReadonlySet<bigint>): AliasedSet[] {
  if (aliases.length === 0) return change.sets.map((set) => ({ ...set, aliasBefore: [], aliasAfter: [] }));
  const others = [...change.otherSets()].map(({ set, rows }) => ({ set, before: rows, after: rows }));
  return [...change.sets, ...others].map((set) => ({
    ...set,
    aliasBefore: live.has(set.set) ? aliasEntries(set.before, aliases, 'from') : [],
    aliasAfter: aliasEntries(set.after, aliases, 'to'),
  }));
}

function aliasRowsOf({ aliasBefore, aliasAfter }: AliasedSet): PolicyRow[] {
  return [...new Map([...aliasBefore, ...aliasAfter].map((row) => [policyKey(row), row])).values()];
}

/** Rows that a set must be given, its aliases' included. */
function added({ before, after, aliasBefore, aliasAfter }: AliasedSet): PolicyRow[] {
  return [...missingFrom(before, after), ...missingFrom(aliasBefore, aliasAfter)];
}

function missingFrom(before: readonly PolicyRow[], after: readonly PolicyRow[]): PolicyRow[] {
  const had = new Map(before.map((row) => [policyKey(row), row]));
  return after.filter((row) => {
    const old = had.get(policyKey(row));
    return old === undefined || !sameRow(old, row);
  });
}

/** Rows that a set must lose. */
function removed({ before, after, aliasBefore, aliasAfter }: AliasedSet): PolicyRow[] {
  const keysOf = (rows: readonly PolicyRow[]) => new Set(rows.map(policyKey));
  const keep = keysOf(after);
  const keepAlias = keysOf(aliasAfter);
  return [
    ...before.filter((row) => !keep.has(policyKey(row))),
    ...aliasBefore.filter((row) => !keepAlias.has(policyKey(row))),
  ];
}

/** A copy of what a set will say. */
interface Temporary {
  readonly id: bigint;
  readonly rows: readonly PolicyRow[];
}

/** For sets that pods flip to while other pods still hold them to what they said before. */
function temporarySets(change: Change, used: readonly AliasedSet[], aliased: boolean): Map<bigint, Temporary> {
  const targets = new Set(change.pods.flatMap(({ before, after }) => (flips(before, after) ? [after?.set] : [])));
  const result = new Map<bigint, Temporary>();
  for (const set of used) {
    if (!targets.has(set.set)) continue;
    if (!aliased && sameRows(set.before, set.after)) continue;
    const id = (hash64(`temporary ${set.set}`) & ~ENFORCED) | (set.set & ENFORCED);
    result.set(set.set, { id, rows: [...set.after, ...set.aliasAfter].map((row) => ({ ...row, set: id })) });
  }
  return result;
}

function flips(before: PodRow | undefined, after: PodRow | undefined): boolean {
  return before !== undefined && after !== undefined && before.set !== after.set;
}

function flipsTo(temporary: ReadonlyMap<bigint, Temporary>, before: PodRow | undefined, after: PodRow): boolean {
  return flips(before, after) && temporary.has(after.set);
}

function podFlips(change: Change, temporary: ReadonlyMap<bigint, Temporary>): PodRow[] {
  return change.pods.flatMap(({ before, after }) => {
    if (after === undefined || (before && sameRow(before, after))) return [];
    return [flips(before, after) ? { ...after, set: temporary.get(after.set)?.id ?? after.set } : after];
  });
}

function newAddresses({ addresses }: Change) {
  return addresses.flatMap(({ before, after }) => (after && !(before && sameRow(before, after)) ? [after] : []));
}

function bumped(change: Change, moves: readonly Move[]): number[] {
  const after = new Map(change.podsBefore.map((pod) => [pod.slot, pod]));
  for (const pod of change.pods) {
    if (pod.after === undefined) after.delete(pod.slot);
    else after.set(pod.slot, pod.after);
  }
  if (moves.length > 0) return [...after.keys()];
  const changed = new Set(change.sets.filter((set) => !sameRows(set.before, set.after)).map(({ set }) => set));
  const flipped = new Set(change.pods.filter((p) => p.before?.set !== p.after?.set).map(({ slot }) => slot));
  return [...after.values()].filter((pod) => changed.has(pod.set) || flipped.has(pod.slot)).map(({ slot }) => slot);
}

function sameRows(a: readonly PolicyRow[], b: readonly PolicyRow[]): boolean {
  return a.length === b.length && missingFrom(a, b).length === 0;
}

const upsert = (rows: readonly Row[]): Step => ({ op: 'upsert', rows });
const remove = (rows: readonly Row[]): Step => ({ op: 'delete', rows });
const notEmpty = (step: Step) => (step.op === 'bump' ? step.slots.length > 0 : step.rows.length > 0);
