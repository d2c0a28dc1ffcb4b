import type { AddressRow, PolicyRow } from 'bpf-loader-napi';
import type { AddressChange, Change } from './change.ts';
import { hash64 } from './hash.ts';

/** An address range whose class changes. */
export interface Move {
  readonly change: AddressChange;
  readonly from: bigint;
  readonly to: bigint;
  /** Class that the range has while sets and pods change; equal for all moves between the same two classes. */
  readonly alias: bigint;
}

/** Class of what no row covers. */
const UNKNOWN_CLASS = 0n;

const classOf = (row: AddressRow | undefined) => row?.class ?? UNKNOWN_CLASS;

/** Prefixes under which an address finds another class than before, also by falling back to a shorter prefix. */
export function movesOf(change: Change): Move[] {
  return change.addresses.flatMap((address) => {
    const from = classOf(change.matchBefore(address.prefix));
    const to = classOf(change.matchAfter(address.prefix));
    return from === to ? [] : [{ change: address, from, to, alias: hash64(`move ${from} ${to}`) }];
  });
}

/** The row that a moved range has while its class is the alias. */
export function aliasRow(move: Move, change: Change): AddressRow {
  const kind = (change.matchAfter(move.change.prefix) ?? move.change.before)?.kind ?? 'world';
  return { table: 'addresses', prefix: move.change.prefix, class: move.alias, kind };
}

/** The row of a moved range before what is gone is deleted: as what covers it afterwards. */
export function settledRow(move: Move, change: Change): AddressRow | undefined {
  const after = change.matchAfter(move.change.prefix);
  return after && { ...after, prefix: move.change.prefix };
}

/** One move for each pair of classes. */
export function distinctMoves(moves: readonly Move[]): Move[] {
  return [...new Map(moves.map((move) => [move.alias, move])).values()];
}

/** A set's rows for each alias: what it said of the class that the addresses come from, or says of the one they go to. */
export function aliasEntries(rows: readonly PolicyRow[], moves: readonly Move[], end: 'from' | 'to'): PolicyRow[] {
  const byClass = Map.groupBy(rows, (row) => row.class);
  return moves.flatMap((move) => (byClass.get(move[end]) ?? []).map((row) => ({ ...row, class: move.alias })));
}
