import { type Resource, WILDCARD } from './resource.ts';

/** What identifies a resource within a view. */
export interface ResourceKey {
  readonly typeUrl: string;
  readonly name: string;
}

export interface Changes {
  readonly upserts?: readonly Resource[];
  readonly deletes?: readonly ResourceKey[];
}

/** What one commit changes. To give some views the same resource, pass each the same object. */
export interface Batch {
  /** Resources that every view has. */
  readonly shared?: Changes;
  /** Resources of single views, by the view's name; they hide shared ones of the same type and name. */
  readonly views?: ReadonlyMap<string, Changes>;
}

/** Names that may have changed, by type URL. */
export type ChangedNames = ReadonlyMap<string, ReadonlySet<string>>;

/** Told of every commit that concerns the watched view; must not throw. */
export type ViewListener = (changed: ChangedNames) => void;

type Collection = Map<string, Map<string, Resource>>;

/**
 * The resources of all views (nodes): shared ones once, plus those of each view.
 *
 * A view exists from the first commit that names it, even one without changes, until `removeView`. Before and
 * after that servers say nothing about it: a client must never take "not computed yet" for "delete everything".
 */
export class ResourceCache {
  readonly #shared: Collection = new Map();
  readonly #views = new Map<string, Collection>();
  readonly #listeners = new Map<string, Set<ViewListener>>();
  #revision = 0;

  /** Counts commits that changed something; of this process only. */
  get revision(): number {
    return this.#revision;
  }

  /** Names of the views that exist. */
  get views(): readonly string[] {
    return [...this.#views.keys()];
  }

  hasView(view: string): boolean {
    return this.#views.has(view);
  }

  get(view: string, typeUrl: string, name: string): Resource | undefined {
    return this.#views.get(view)?.get(typeUrl)?.get(name) ?? this.#shared.get(typeUrl)?.get(name);
  }

  /** All names of a type in a view. */
  names(view: string, typeUrl: string): ReadonlySet<string> {
    const shared = this.#shared.get(typeUrl);
    const own = this.#views.get(view)?.get(typeUrl);
    return new Set([...(shared?.keys() ?? []), ...(own?.keys() ?? [])]);
  }

  /**
   * Applies a batch as a whole and tells the listeners of the views concerned. Deleting what is absent and
   * upserting what is equal change nothing.
   *
   * @throws Error if a resource has no usable name or type; nothing is applied then
   */
  commit(batch: Batch): void {
    for (const changes of [batch.shared, ...(batch.views?.values() ?? [])]) validate(changes);

    const shared = apply(this.#shared, batch.shared);
    const touched = new Map<string, Map<string, Set<string>>>();
    for (const [view, changes] of batch.views ?? []) {
      const existing = this.#views.get(view);
      const collection = existing ?? new Map();
      if (existing === undefined) this.#views.set(view, collection);
      const changed = apply(collection, changes);
      if (changed.size > 0 || existing === undefined) touched.set(view, changed);
    }
    if (shared.size === 0 && touched.size === 0) return;

    this.#revision += 1;
    const concerned = shared.size > 0 ? this.#listeners.keys() : touched.keys();
    for (const view of [...concerned]) {
      this.#notify(view, union(shared, touched.get(view)));
    }
  }

  /** Forgets a view. Clients that are connected to it keep what they have. */
  removeView(view: string): void {
    this.#views.delete(view);
  }

  /** Calls `listener` on changes to `view`, which need not exist yet, until the returned function is called. */
  watch(view: string, listener: ViewListener): () => void {
    const listeners = this.#listeners.get(view) ?? new Set();
    this.#listeners.set(view, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(view) === listeners) this.#listeners.delete(view);
    };
  }

  #notify(view: string, changed: ChangedNames): void {
    for (const listener of [...(this.#listeners.get(view) ?? [])]) listener(changed);
  }
}

function validate(changes: Changes | undefined): void {
  for (const { name, typeUrl } of changes?.upserts ?? []) {
    if (name === '' || name === WILDCARD) throw new Error(`a resource of type ${typeUrl} may not be named "${name}"`);
    if (typeUrl === '') throw new Error(`resource ${name} has no type URL`);
  }
}

function apply(collection: Collection, changes: Changes | undefined): Map<string, Set<string>> {
  const changed = new Map<string, Set<string>>();
  const mark = ({ typeUrl, name }: ResourceKey): void => {
    const names = changed.get(typeUrl) ?? new Set();
    changed.set(typeUrl, names.add(name));
  };
  for (const key of changes?.deletes ?? []) {
    const ofType = collection.get(key.typeUrl);
    if (ofType?.delete(key.name)) mark(key);
    if (ofType?.size === 0) collection.delete(key.typeUrl);
  }
  for (const upsert of changes?.upserts ?? []) {
    const ofType = collection.get(upsert.typeUrl) ?? new Map<string, Resource>();
    if (ofType.get(upsert.name)?.version === upsert.version) continue;
    collection.set(upsert.typeUrl, ofType.set(upsert.name, upsert));
    mark(upsert);
  }
  return changed;
}

function union(a: ChangedNames, b: ChangedNames | undefined): ChangedNames {
  if (b === undefined || b.size === 0) return a;
  if (a.size === 0) return b;
  const both = new Map(a);
  for (const [typeUrl, names] of b) both.set(typeUrl, names.union(both.get(typeUrl) ?? new Set()));
  return both;
}
