import { nodeResourceType } from '@weft/node-api';
import type { StreamStatus } from '@weft/xds';

/**
 * Which nodes have accepted everything that was served up to some moment, at the cost of one number a node: an agent
 * that owes no answer at revision R holds all that R holds.
 */
export class Acceptance {
  readonly #revisions = new Map<string, number>();
  readonly #rejected = new Map<string, ReadonlyMap<string, string>>();

  /** To be called with all streams at a moment when none of them is being written to; `revision` is the cache's. */
  observe(streams: readonly StreamStatus[], revision: number): void {
    for (const { view, types } of streams) {
      const state = types.find(({ typeUrl }) => typeUrl === nodeResourceType);
      if (state === undefined || !state.wildcard) continue;
      if (state.rejected.size > 0) this.#rejected.set(view, state.rejected);
      else this.#rejected.delete(view);
      if (state.unanswered === 0 && state.sent > 0) this.#revisions.set(view, revision);
    }
  }

  /** Whether `node` has accepted resource `name`, which is as it is since `revision`. */
  has(node: string, name: string, revision: number): boolean {
    return (this.#revisions.get(node) ?? -1) >= revision && !this.#rejected.get(node)?.has(name);
  }

  forget(node: string): void {
    this.#revisions.delete(node);
    this.#rejected.delete(node);
  }
}
