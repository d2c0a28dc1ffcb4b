/** What one batch does to the tables that decide verdicts: the planner's input. Services are planned apart. */
import type { AddressRow, PodRow, PolicyRow } from 'bpf-loader-napi';

/** One policy set; [] where the tables hold none of it. */
export interface SetChange {
  readonly set: bigint;
  readonly before: readonly PolicyRow[];
  readonly after: readonly PolicyRow[];
}

export interface AddressChange {
  readonly prefix: string;
  readonly before: AddressRow | undefined;
  readonly after: AddressRow | undefined;
}

export interface PodChange {
  readonly slot: number;
  readonly before: PodRow | undefined;
  readonly after: PodRow | undefined;
}

export interface Change {
  readonly sets: readonly SetChange[];
  readonly addresses: readonly AddressChange[];
  readonly pods: readonly PodChange[];
  /** Every local pod as it was, changed or not. */
  readonly podsBefore: readonly PodRow[];
  /** The address row that decides for a whole prefix, among the tables as they were and as they shall be. */
  readonly matchBefore: (prefix: string) => AddressRow | undefined;
  readonly matchAfter: (prefix: string) => AddressRow | undefined;
  /** Sets that stay as they are; read only where a change moves addresses and touches sets at once. */
  readonly otherSets: () => Iterable<{ readonly set: bigint; readonly rows: readonly PolicyRow[] }>;
}
