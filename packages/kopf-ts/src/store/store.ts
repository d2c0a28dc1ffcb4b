import type { Kind } from '../kind.ts';
import { StoreIndex } from './store-index.ts';

/**
 * What one commit changed, as one consistent step: `upserts` and `deletes` name each key at most once.
 */
export interface ChangeSet<T> {
  /** Objects that are new or differ. */
  readonly upserts: readonly T[];
  /** What the store held before for each of `upserts`, at the same position. */
  readonly previous: readonly (T | undefined)[];
  /** Objects that are gone, as last seen. */
  readonly deletes: readonly T[];
}

export type Listener<T> = (changes: ChangeSet<T>) => void;

/** The readers' side of a store: any number of readers, one writer, which nobody else can reach. */
export interface Store<T> {
  /** For messages: the kind that it holds. */
  readonly name: string;
  /** Resolves when the first whole list is in. Before that the store is empty, never half full. */
  readonly ready: Promise<void>;
  readonly isReady: boolean;
  readonly size: number;
  /** By `namespace/name`, or `name` for cluster-scoped kinds. */
  get(key: string): T | undefined;
  /** All objects, in no particular order. */
  list(): IterableIterator<T>;
  keys(): IterableIterator<string>;
  /**
   * An index that is kept up to date; `valuesOf` says under which values an object is found. One for which it throws is
   * reported and found under none.
   */
  index(valuesOf: (object: T) => readonly string[]): StoreIndex<T>;
  /**
   * Calls `listener` with everything that is there (if the store is ready), and then with each change set, after the
   * store and its indexes are up to date. Synchronous; returns the function that ends the subscription.
   */
  subscribe(listener: Listener<T>): () => void;
}

/** An object on its way into a store: `version` tells whether it is the one that is already there. */
export interface Entry<T> {
  readonly key: string;
  readonly version: string;
  readonly object: T;
}

export type Change<T> =
  | { readonly type: 'upsert'; readonly entry: Entry<T> }
  | { readonly type: 'delete'; readonly key: string };

export interface StoreOptions<T> {
  readonly name: string;
  /** Objects that are the same in this sense make no change set; by default the same resource version. */
  readonly same?: ((before: T, after: T) => boolean) | undefined;
  /** Gets what a listener, `same` or an index's function threw; the commit goes on nevertheless. Must not throw. */
  readonly onListenerError: (error: unknown) => void;
}

/** The writer's side. Each call is one commit: readers see its whole effect or nothing of it. */
export interface StoreWriter<T> {
  readonly store: Store<T>;
  /** Makes the store hold exactly `entries`. */
  replace(entries: readonly Entry<T>[]): void;
  /** Applies changes in their order. */
  apply(changes: readonly Change<T>[]): void;
}

interface Held<T> {
  readonly version: string;
  readonly object: T;
}

export function createStore<T>(options: StoreOptions<T>): StoreWriter<T> {
  const held = new Map<string, Held<T>>();
  const indexes = new Set<StoreIndex<T>>();
  const listeners = new Set<Listener<T>>();
  const { promise: ready, resolve: becomeReady } = Promise.withResolvers<void>();
  let isReady = false;

  /** What readers hand in may throw; a commit must not stop half-way because of it. */
  const guarded = <R>(ask: () => R, otherwise: R): R => {
    try {
      return ask();
    } catch (error) {
      options.onListenerError(error);
      return otherwise;
    }
  };

  const store: Store<T> = {
    name: options.name,
    ready,
    get isReady() {
      return isReady;
    },
    get size() {
      return held.size;
    },
    get: (key) => held.get(key)?.object,
    *list() {
      for (const { object } of held.values()) yield object;
    },
    keys: () => held.keys(),
    index(valuesOf) {
      const index = new StoreIndex<T>((object) => guarded(() => valuesOf(object), []), store.get);
      for (const [key, { object }] of held) index.put(key, object);
      indexes.add(index);
      return index;
    },
    subscribe(listener) {
      if (isReady)
        notify(listener, { upserts: [...store.list()], previous: Array(held.size).fill(undefined), deletes: [] });
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };

  const notify = (listener: Listener<T>, changes: ChangeSet<T>): void => guarded(() => listener(changes), undefined);
  const same = (before: T, after: T): boolean => guarded(() => options.same?.(before, after) ?? false, false);

  /** Writes `next` (undefined: nothing) under each key, and tells what that changed. */
  const commit = (next: ReadonlyMap<string, Held<T> | undefined>): void => {
    const upserts: T[] = [];
    const previous: (T | undefined)[] = [];
    const deletes: T[] = [];
    for (const [key, after] of next) {
      const before = held.get(key);
      if (after === undefined) {
        if (before === undefined) continue;
        held.delete(key);
        deletes.push(before.object);
      } else {
        if (before?.version === after.version) continue;
        if (before !== undefined && same(before.object, after.object)) {
          // Keep the object that readers already hold, but remember which version it stands for.
          held.set(key, { version: after.version, object: before.object });
          continue;
        }
        held.set(key, after);
        upserts.push(after.object);
        previous.push(before?.object);
      }
      for (const index of indexes) index.put(key, after?.object);
    }
    const first = !isReady;
    isReady = true;
    if (first || upserts.length > 0 || deletes.length > 0) {
      const changes = { upserts, previous, deletes };
      // A copy: whoever subscribes meanwhile got everything already; who was unsubscribed meanwhile gets nothing more.
      for (const listener of [...listeners]) if (listeners.has(listener)) notify(listener, changes);
    }
    if (first) becomeReady();
  };

  return {
    store,
    replace(entries) {
      const next = new Map<string, Held<T> | undefined>();
      for (const key of held.keys()) next.set(key, undefined);
      for (const { key, version, object } of entries) next.set(key, { version, object });
      commit(next);
    },
    apply(changes) {
      if (!isReady) throw new Error(`${options.name}: changes before the first whole list`);
      const next = new Map<string, Held<T> | undefined>();
      for (const change of changes) {
        if (change.type === 'delete') next.set(change.key, undefined);
        else next.set(change.entry.key, { version: change.entry.version, object: change.entry.object });
      }
      commit(next);
    },
  };
}

/** The name under which a kind's store appears in messages. */
export function storeName(kind: Kind, namespace?: string): string {
  const resource = kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}`;
  return namespace === undefined ? resource : `${resource} in ${namespace}`;
}
