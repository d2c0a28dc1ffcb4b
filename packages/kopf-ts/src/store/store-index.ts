/** Finds a store's objects by a property; see `Store.index`. */
export class StoreIndex<T> {
  readonly #valuesOf: (object: T) => readonly string[];
  readonly #get: (key: string) => T | undefined;
  readonly #keys = new Map<string, Set<string>>();
  readonly #values = new Map<string, readonly string[]>();

  constructor(valuesOf: (object: T) => readonly string[], get: (key: string) => T | undefined) {
    this.#valuesOf = valuesOf;
    this.#get = get;
  }

  /** The objects that are indexed under `value`. */
  get(value: string): T[] {
    const objects: T[] = [];
    for (const key of this.#keys.get(value) ?? []) {
      const object = this.#get(key);
      if (object !== undefined) objects.push(object);
    }
    return objects;
  }

  /** The store's keys of the objects that are indexed under `value`. */
  keys(value: string): readonly string[] {
    return [...(this.#keys.get(value) ?? [])];
  }

  /** @internal The store holds `object` under `key` from now on, or nothing. */
  put(key: string, object: T | undefined): void {
    const before = this.#values.get(key) ?? [];
    const after = object === undefined ? [] : this.#valuesOf(object);
    if (before.length === after.length && before.every((value, i) => value === after[i])) return;
    for (const value of before) {
      const keys = this.#keys.get(value);
      keys?.delete(key);
      if (keys?.size === 0) this.#keys.delete(value);
    }
    for (const value of after) {
      const keys = this.#keys.get(value);
      if (keys === undefined) this.#keys.set(value, new Set([key]));
      else keys.add(key);
    }
    if (after.length === 0) this.#values.delete(key);
    else this.#values.set(key, after);
  }
}
