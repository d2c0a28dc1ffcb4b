import type { AgentFlow } from './line.ts';

/** Events of several processors come a little out of order. */
const OVERLAP_MS = 1_000;
const PRUNE_AT = 4_096;

/** Where a node's flows were left: neither lost nor told twice when its agent is asked again. */
export class Resume {
  readonly #told = new Map<string, number>();
  readonly #first: number;
  #newest = 0;

  /** @param since milliseconds since 1970 */
  constructor(since: number) {
    this.#first = since;
  }

  /** From when to ask, in milliseconds since 1970. */
  get since(): number {
    return Math.max(this.#first, this.#newest - OVERLAP_MS);
  }

  /** Whether the flow was not told yet; notes it. Numbers start again when an agent does, so its time counts, too. */
  isNew({ number, time }: Pick<AgentFlow, 'number' | 'time'>): boolean {
    const key = `${number} ${time}`;
    if (this.#told.has(key)) return false;
    const at = Date.parse(time);
    this.#newest = Math.max(this.#newest, at);
    this.#told.set(key, at);
    if (this.#told.size >= PRUNE_AT) {
      for (const [old, when] of this.#told) if (when < this.since) this.#told.delete(old);
    }
    return true;
  }
}
