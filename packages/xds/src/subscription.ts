import { type Resource, WILDCARD } from './resource.ts';

/** The resources of one type that a client may see. */
export interface TypeView {
  get(name: string): Resource | undefined;
  names(): ReadonlySet<string>;
}

/** The part of a request that changes what a client is subscribed to. */
export interface SubscriptionChange {
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** What the client has from an earlier stream, name to version; heeded in the first request of a type only. */
  readonly initialVersions: ReadonlyMap<string, string>;
}

/** What a client must be told. */
export interface Delta {
  readonly upserts: readonly Resource[];
  readonly removes: readonly string[];
}

/** The "version" of a named resource that the client was told does not exist. */
const ABSENT = '';

/**
 * One client's subscription to one type, after "Incremental xDS" of the xDS protocol
 * (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol): pure bookkeeping, no I/O.
 */
export class Subscription {
  #wildcard = false;
  #started = false;
  #owesAnswer = false;
  #listAll = false;
  readonly #named = new Set<string>();
  /** Name to the version that the client was last sent, or said that it has. */
  readonly #known = new Map<string, string>();
  /** Names to look at for the next delta. */
  readonly #dirty = new Set<string>();
  /** Names to tell the client about even if nothing changed, because it asked. */
  readonly #forced = new Set<string>();

  /** How many resources the client was told of. */
  get size(): number {
    return this.#known.size;
  }

  get wildcard(): boolean {
    return this.#wildcard;
  }

  /** How many names the client subscribed to one by one. */
  get named(): number {
    return this.#named.size;
  }

  /** The version that the client was last sent, undefined if none. */
  knownVersion(name: string): string | undefined {
    return this.#known.get(name) || undefined;
  }

  change({ subscribe, unsubscribe, initialVersions }: SubscriptionChange): void {
    const first = !this.#started;
    this.#started = true;
    // A first request that names nothing subscribes to everything (the protocol's legacy wildcard).
    if (subscribe.includes(WILDCARD) || (first && subscribe.length === 0)) this.#startWildcard();
    for (const name of subscribe) {
      if (name === WILDCARD) continue;
      this.#named.add(name);
      this.#dirty.add(name);
      // A client that subscribes again may have dropped its copy, so it gets one, changed or not.
      if (!(first && initialVersions.has(name))) this.#forced.add(name);
    }
    if (first) this.#resume(initialVersions);
    for (const name of unsubscribe) {
      if (name === WILDCARD) this.#stopWildcard();
      else this.#unsubscribe(name);
    }
  }

  markChanged(names: Iterable<string>): void {
    for (const name of names) {
      if (this.#concerns(name)) this.#dirty.add(name);
    }
  }

  /** Has a resource sent again although it did not change, if the client was sent it. */
  resend(name: string): void {
    if (!this.#concerns(name) || !this.#known.has(name)) return;
    this.#dirty.add(name);
    this.#forced.add(name);
  }

  /** What to send now, recorded as sent; undefined if there is nothing to say. */
  take(view: TypeView): Delta | undefined {
    if (this.#listAll) {
      for (const name of view.names()) this.#dirty.add(name);
      this.#listAll = false;
    }
    const upserts: Resource[] = [];
    const removes: string[] = [];
    for (const name of this.#dirty) {
      if (!this.#concerns(name)) continue;
      const current = view.get(name);
      const forced = this.#forced.has(name);
      const known = this.#known.get(name);
      if (current !== undefined) {
        if (!forced && known === current.version) continue;
        upserts.push(current);
        this.#known.set(name, current.version);
      } else if (forced || (known ?? ABSENT) !== ABSENT || (this.#named.has(name) && known === undefined)) {
        removes.push(name);
        if (this.#named.has(name)) this.#known.set(name, ABSENT);
        else this.#known.delete(name);
      }
    }
    this.#dirty.clear();
    this.#forced.clear();
    const owed = this.#owesAnswer;
    this.#owesAnswer = false;
    return owed || upserts.length > 0 || removes.length > 0 ? { upserts, removes } : undefined;
  }

  #concerns(name: string): boolean {
    return this.#wildcard || this.#named.has(name);
  }

  #startWildcard(): void {
    if (this.#wildcard) return;
    this.#wildcard = true;
    this.#listAll = true;
    // An empty answer tells the client that there is nothing, or nothing new; it may be waiting for that.
    this.#owesAnswer = true;
  }

  #stopWildcard(): void {
    this.#wildcard = false;
    this.#listAll = false;
    this.#owesAnswer = false;
    for (const name of [...this.#known.keys()]) {
      if (!this.#named.has(name)) this.#known.delete(name);
    }
  }

  #resume(versions: ReadonlyMap<string, string>): void {
    for (const [name, version] of versions) {
      if (!this.#concerns(name)) continue;
      this.#known.set(name, version);
      this.#dirty.add(name);
    }
  }

  #unsubscribe(name: string): void {
    if (!this.#named.delete(name)) return;
    this.#known.delete(name);
    this.#forced.delete(name);
    if (!this.#wildcard) return;
    // The client can't know whether the wildcard includes the name, so it is told.
    this.#dirty.add(name);
    this.#forced.add(name);
  }
}
