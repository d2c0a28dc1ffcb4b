/** Counts the records that one update touches: what an incremental compiler has to keep small. */
export interface Visits {
  count: number;
}
