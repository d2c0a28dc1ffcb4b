import { type BackoffOptions, backoffDelay, reconcileBackoff } from './backoff.ts';
import type { Clock, Random } from './clock.ts';
import { PermanentError, TemporaryError } from './errors.ts';

/** What the work on a key asks for afterwards. */
export interface WorkResult {
  /** Work on the key again after so many milliseconds, even if nothing changes. */
  readonly requeueAfterMs?: number;
}

export interface WorkContext {
  readonly signal: AbortSignal;
  /** How often the work on this key failed in a row before this time. */
  readonly attempt: number;
}

export interface WorkQueueOptions {
  /** Works on one key; never runs twice at once for the same key. */
  readonly work: (key: string, context: WorkContext) => Promise<WorkResult | undefined>;
  /** Keys worked on at the same time. */
  readonly concurrency: number;
  readonly backoff?: BackoffOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly onError: (key: string, error: unknown) => void;
}

/**
 * A queue of keys to work on. A key that is added while it waits is worked on once; while it is worked on, once more
 * afterwards. A key whose work failed comes back after its own exponential delay, or at once when it is added again.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  readonly #again = new Set<string>();
  readonly #delayed = new Map<string, { readonly due: number; readonly cancel: () => void }>();
  readonly #failures = new Map<string, number>();
  readonly #abort = new AbortController();
  #idle: PromiseWithResolvers<void> | undefined;
  #accepting = true;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Keys that wait for a free worker, are worked on, and will come back later. */
  get stats(): {
    readonly waiting: number;
    readonly running: number;
    readonly delayed: number;
    readonly failing: number;
  } {
    return {
      waiting: this.#waiting.size,
      running: this.#running.size,
      delayed: this.#delayed.size,
      failing: this.#failures.size,
    };
  }

  /** Work on `key` as soon as a worker is free. */
  add(key: string): void {
    if (!this.#accepting) return;
    this.#cancelDelay(key);
    if (this.#running.has(key)) this.#again.add(key);
    else this.#waiting.add(key);
    this.#dispatch();
  }

  /** Work on `key` in `ms` milliseconds, or at the earlier time that was already set. */
  addAfter(key: string, ms: number): void {
    if (!this.#accepting) return;
    const { clock } = this.#options;
    const due = clock.monotonic() + ms;
    const known = this.#delayed.get(key);
    if (known !== undefined && known.due <= due) return;
    known?.cancel();
    const cancel = clock.after(ms, () => this.add(key));
    this.#delayed.set(key, { due, cancel });
  }

  /** Nothing new is accepted, what waits for a time is dropped; resolves when what waited for a worker is done too. */
  async drain(): Promise<void> {
    this.#accepting = false;
    for (const key of [...this.#delayed.keys()]) this.#cancelDelay(key);
    this.#again.clear();
    if (this.#running.size === 0 && this.#waiting.size === 0) return;
    this.#idle ??= Promise.withResolvers<void>();
    await this.#idle.promise;
  }

  /** Drops what waits and aborts what runs; resolves when that has ended. */
  async stop(): Promise<void> {
    this.#waiting.clear();
    this.#abort.abort();
    await this.drain();
  }

  #dispatch(): void {
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#options.concurrency) return;
      this.#waiting.delete(key);
      this.#running.add(key);
      void this.#run(key);
    }
  }

  async #run(key: string): Promise<void> {
    try {
      // Never in the caller's stack: whoever adds a key may be in the middle of a change.
      await Promise.resolve();
      const attempt = this.#failures.get(key) ?? 0;
      const result = await this.#options.work(key, { signal: this.#abort.signal, attempt });
      this.#failures.delete(key);
      if (result?.requeueAfterMs !== undefined) this.addAfter(key, result.requeueAfterMs);
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#failed(key, error);
    } finally {
      this.#running.delete(key);
      if (this.#again.delete(key)) this.add(key);
      this.#dispatch();
      if (this.#running.size === 0 && this.#waiting.size === 0) this.#idle?.resolve();
    }
  }

  #failed(key: string, error: unknown): void {
    if (error instanceof TemporaryError) {
      this.addAfter(key, error.delayMs);
      return;
    }
    this.#options.onError(key, error);
    if (error instanceof PermanentError) {
      this.#failures.delete(key);
      return;
    }
    const attempt = this.#failures.get(key) ?? 0;
    this.#failures.set(key, attempt + 1);
    this.addAfter(key, backoffDelay(this.#options.backoff ?? reconcileBackoff, attempt, this.#options.random));
  }

  #cancelDelay(key: string): void {
    this.#delayed.get(key)?.cancel();
    this.#delayed.delete(key);
  }
}
