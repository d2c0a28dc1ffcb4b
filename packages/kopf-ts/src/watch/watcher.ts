import { type BackoffOptions, backoffDelay, watchBackoff } from '../backoff.ts';
import type { KubeClient, Selection } from '../client/client.ts';
import type { WatchEvent } from '../client/watch-stream.ts';
import { type Clock, type Random, sleep, systemClock } from '../clock.ts';
import { asError, KubeError, logFailure, type OnError, type Step } from '../errors.ts';
import { type Kind, type KubeObject, keyOf } from '../kind.ts';
import { type Change, createStore, type Entry, type Store, type StoreWriter, storeName } from '../store/store.ts';
import { transition, type WatchInput, type WatchState } from './state.ts';

export interface WatcherOptions<T extends KubeObject, S> extends Selection {
  readonly client: KubeClient;
  readonly kind: Kind<T>;
  /**
   * What the store keeps of an object; `undefined` leaves it out. Trim here: only what it returns stays in memory.
   * Must not throw: an object for which it does is reported and left out.
   */
  readonly transform: (object: T) => S | undefined;
  /** See `StoreOptions.same`. */
  readonly same?: (before: S, after: S) => boolean;
  /** Objects a page; by default 500. */
  readonly pageSize?: number;
  /** How long the server is asked to keep a watch open, in seconds; drawn anew from this range; by default 300 to 600. */
  readonly watchSeconds?: readonly [number, number];
  readonly backoff?: BackoffOptions;
  readonly onError?: OnError;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Counters since the start; for metrics. */
export interface WatcherStats {
  readonly state: WatchState<unknown>['tag'];
  readonly resourceVersion: string | undefined;
  /** Whole lists that were swapped in. */
  readonly lists: number;
  /** Watches that were opened. */
  readonly watches: number;
  /** Objects added, changed or deleted, as events said. */
  readonly events: number;
  readonly bookmarks: number;
  readonly errors: number;
}

/** A watch that lived so long was a good one, even if nothing happened in it; in milliseconds. */
const provenMs = 30_000;

/** A list that takes longer than the server keeps its snapshot can't be read in pages; after so many tries ask for all. */
const pagedTries = 2;

/** A continuous mirror of one kind in a {@link Store}. Survives every error; only its signal stops it. */
export class Watcher<T extends KubeObject, S> {
  readonly store: Store<S>;
  readonly #writer: StoreWriter<S>;
  readonly #options: WatcherOptions<T, S>;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #onError: OnError;
  readonly #name: string;
  readonly #counts = { lists: 0, watches: 0, events: 0, bookmarks: 0, errors: 0 };
  #state: WatchState<S> = { tag: 'empty', expired: 0 };
  #attempt = 0;

  constructor(options: WatcherOptions<T, S>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#onError = options.onError ?? logFailure;
    this.#name = storeName(options.kind, options.namespace);
    this.#writer = createStore<S>({
      name: this.#name,
      same: options.same,
      onListenerError: (error) => this.#report('subscriber', error),
    });
    this.store = this.#writer.store;
  }

  get stats(): WatcherStats {
    const { tag } = this.#state;
    const resourceVersion = 'resourceVersion' in this.#state ? this.#state.resourceVersion : undefined;
    return { state: tag, resourceVersion, ...this.#counts };
  }

  /** Lists and watches until `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const state = this.#state;
      const step = state.tag === 'empty' || state.tag === 'listing' ? 'list' : 'watch';
      try {
        if (state.tag === 'empty' || state.tag === 'listing') await this.#readPage(state, signal);
        else await this.#watch(state.resourceVersion, signal);
      } catch (thrown) {
        if (!signal.aborted) await this.#recover(step, thrown, signal);
      }
    }
  }

  #advance(input: WatchInput<S>): void {
    const { state, list } = transition(this.#state, input);
    this.#state = state;
    if (list === undefined) return;
    this.#counts.lists++;
    this.#writer.replace(list);
  }

  async #readPage(state: WatchState<S>, signal: AbortSignal): Promise<void> {
    const { client, kind, namespace, labelSelector, fieldSelector, pageSize = 500 } = this.#options;
    const whole = state.tag === 'empty' && state.expired >= pagedTries;
    const page = await client.page(kind, {
      namespace,
      labelSelector,
      fieldSelector,
      limit: whole ? undefined : pageSize,
      continue: state.tag === 'listing' ? state.next : undefined,
      signal,
      timeoutMs: 60_000,
      retries: 0,
    });
    if (signal.aborted) return;
    const entries = page.items.flatMap((item) => this.#entry(item) ?? []);
    this.#advance({ type: 'page', entries, resourceVersion: page.resourceVersion, next: page.continue });
  }

  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const { client, kind, namespace, labelSelector, fieldSelector, watchSeconds = [300, 600] } = this.#options;
    const [least, most] = watchSeconds;
    const timeoutSeconds = Math.round(least + (most - least) * this.#random());
    const begun = this.#clock.monotonic();
    this.#advance({ type: 'opened' });
    this.#counts.watches++;
    const selection = { namespace, labelSelector, fieldSelector };
    try {
      for await (const events of client.watch(kind, { ...selection, resourceVersion, timeoutSeconds, signal })) {
        if (signal.aborted) return;
        this.#attempt = 0;
        this.#store(events);
      }
    } finally {
      // A whole list is no progress: where each watch from it is refused, lists too must become rare.
      if (this.#clock.monotonic() - begun >= provenMs) this.#attempt = 0;
    }
    this.#advance({ type: 'closed' });
    // An orderly end needs no pause; a server that ends every watch at once does.
    if (this.#clock.monotonic() - begun < 1000) await this.#pause(undefined, signal);
  }

  #store(events: readonly WatchEvent[]): void {
    const changes: Change<S>[] = [];
    for (const event of events) {
      if (event.type === 'BOOKMARK') {
        this.#counts.bookmarks++;
        continue;
      }
      this.#counts.events++;
      const entry = event.type === 'DELETED' ? undefined : this.#entry(event.object);
      if (entry !== undefined) changes.push({ type: 'upsert', entry });
      else changes.push({ type: 'delete', key: keyOf(event.object.metadata) });
    }
    // First the objects, then the place to go on from: an exception in between repeats events rather than losing them.
    if (changes.length > 0) this.#writer.apply(changes);
    this.#advance({ type: 'events', events });
  }

  #entry(raw: KubeObject): Entry<S> | undefined {
    const key = keyOf(raw.metadata);
    try {
      const object = this.#options.transform(this.#options.kind.parse(raw));
      return object === undefined ? undefined : { key, version: raw.metadata.resourceVersion ?? '', object };
    } catch (error) {
      this.#report('parse', error, `${this.#name} ${key}`);
      return undefined;
    }
  }

  async #recover(step: Step, thrown: unknown, signal: AbortSignal): Promise<void> {
    const expired = thrown instanceof KubeError && thrown.isExpired;
    this.#advance({ type: expired ? 'expired' : 'closed' });
    this.#report(step, thrown);
    await this.#pause(thrown instanceof KubeError ? thrown.retryAfterMs : undefined, signal);
  }

  async #pause(atLeastMs: number | undefined, signal: AbortSignal): Promise<void> {
    const delay = backoffDelay(this.#options.backoff ?? watchBackoff, this.#attempt++, this.#random);
    // Everyone was told the same Retry-After: the jittered delay on top keeps them from coming back together.
    await sleep(this.#clock, atLeastMs === undefined ? delay : atLeastMs + delay, signal);
  }

  #report(step: Step, thrown: unknown, subject = this.#name): void {
    this.#counts.errors++;
    this.#onError({ step, subject, error: asError(thrown) });
  }
}
