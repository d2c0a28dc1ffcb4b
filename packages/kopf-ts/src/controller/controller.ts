import type { BackoffOptions } from '../backoff.ts';
import { type Clock, type Random, systemClock } from '../clock.ts';
import { asError, logFailure, type OnError } from '../errors.ts';
import { type WorkContext, WorkQueue, type WorkResult } from '../queue.ts';
import type { ChangeSet, Store } from '../store/store.ts';

/** Something whose changes make keys worth a look. */
export interface Source {
  readonly ready: Promise<void>;
  /** Calls `enqueue` with the keys of everything there is, and then of what changes; returns the end of it. */
  start(enqueue: (key: string) => void): () => void;
}

/**
 * A store as a source: `keysOf` says which keys an object concerns. After a change both the old and the new object are
 * asked, so that a key that an object no longer concerns is looked at as well.
 */
export function source<T>(store: Store<T>, keysOf: (object: T) => readonly string[]): Source {
  return {
    ready: store.ready,
    start(enqueue) {
      return store.subscribe(({ deletes, previous, upserts }: ChangeSet<T>) => {
        const errors: unknown[] = [];
        for (const object of [...deletes, ...previous, ...upserts]) {
          if (object === undefined) continue;
          try {
            for (const key of keysOf(object)) enqueue(key);
          } catch (error) {
            errors.push(error);
          }
        }
        // Only now: the store reports it, and the keys of the other objects must not be lost with it.
        if (errors.length > 0) throw errors[0];
      });
    },
  };
}

/** Anything that a controller of a process wants to be told when: `trigger(key)` makes it look. */
export function manualSource(): Source & { readonly trigger: (key: string) => void } {
  const sinks = new Set<(key: string) => void>();
  return {
    ready: Promise.resolve(),
    start(enqueue) {
      sinks.add(enqueue);
      return () => sinks.delete(enqueue);
    },
    trigger(key) {
      for (const sink of sinks) sink(key);
    },
  };
}

export interface ControllerOptions {
  /** For messages and metrics. */
  readonly name: string;
  readonly sources: readonly Source[];
  /**
   * Brings the world in line with what the stores say about `key` now. Called for every key after the start, after each
   * change and after failures; it must not matter how often. Throw `TemporaryError` to come back later,
   * `PermanentError` to wait for a change; after any other error it comes back with growing delays.
   */
  readonly reconcile: (key: string, context: WorkContext) => Promise<WorkResult | undefined>;
  /** Keys reconciled at the same time; by default 1. */
  readonly concurrency?: number;
  readonly backoff?: BackoffOptions;
  readonly onError?: OnError;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** What whoever runs a controller provides, where the controller has nothing of its own. */
export type Inherited = Pick<ControllerOptions, 'onError' | 'clock' | 'random'>;

/** Level-triggered reconciliation by key. */
export class Controller {
  readonly name: string;
  readonly #options: ControllerOptions;
  #queue: WorkQueue | undefined;

  constructor(options: ControllerOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get stats(): WorkQueue['stats'] {
    return this.#queue?.stats ?? { waiting: 0, running: 0, delayed: 0, failing: 0 };
  }

  /**
   * Works until `signal` aborts, then finishes what is under way and resolves. `kill` also aborts what is under way.
   * May be run again afterwards, for example whenever this process becomes the leader: it starts over with all keys.
   */
  async run(signal: AbortSignal, kill?: AbortSignal, inherited: Inherited = {}): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    // Nobody decides on half of the facts: every source has its whole list before the first key is looked at.
    await Promise.race([stopped, Promise.all(this.#options.sources.map((each) => each.ready))]);
    if (signal.aborted) return;
    const queue = this.#newQueue({ ...inherited, ...this.#options });
    this.#queue = queue;
    const ends = this.#options.sources.map((each) => each.start((key) => queue.add(key)));
    await stopped;
    for (const end of ends) end();
    await finish(queue, kill);
  }

  #newQueue(options: ControllerOptions): WorkQueue {
    const { name, reconcile, concurrency = 1, backoff, clock, random, onError = logFailure } = options;
    return new WorkQueue({
      work: reconcile,
      concurrency,
      clock: clock ?? systemClock,
      random: random ?? Math.random,
      onError: (key, error) => onError({ step: 'reconcile', subject: `${name} ${key}`, error: asError(error) }),
      ...(backoff === undefined ? {} : { backoff }),
    });
  }
}

async function finish(queue: WorkQueue, kill: AbortSignal | undefined): Promise<void> {
  const stop = (): void => void queue.stop();
  if (kill?.aborted) stop();
  else kill?.addEventListener('abort', stop, { once: true });
  await queue.drain();
  kill?.removeEventListener('abort', stop);
}
