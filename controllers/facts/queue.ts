import type { Fact } from '../../reconcilers/facts.ts';

/** The facts of one object; empty: it is gone. `key`: `<Kind>/<namespace>/<name>` or `<Kind>/<name>`. */
export interface FactChange {
  readonly key: string;
  readonly facts: readonly Fact[];
}

/**
 * Collects changes and hands over what came in one turn of the event loop as one batch. Until it is opened it only
 * collects: nobody may act on half of the facts.
 */
export class FactQueue {
  readonly #deliver: (changes: readonly FactChange[]) => void;
  readonly #waiting = new Map<string, readonly Fact[]>();
  #open = false;
  #scheduled = false;

  constructor(deliver: (changes: readonly FactChange[]) => void) {
    this.#deliver = deliver;
  }

  /** The last word about a key counts. */
  put(key: string, facts: readonly Fact[]): void {
    this.#waiting.set(key, facts);
    this.#schedule();
  }

  /** From now on batches are delivered, the first one with all that is there, even if that is nothing. */
  open(): void {
    if (this.#open) return;
    this.#open = true;
    this.#flush();
  }

  #schedule(): void {
    if (this.#scheduled || !this.#open) return;
    this.#scheduled = true;
    // After all that is readable now has been read: a burst of events is one batch, a single one hardly waits.
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    const changes = [...this.#waiting].map(([key, facts]) => ({ key, facts }));
    this.#waiting.clear();
    this.#deliver(changes);
  }
}
