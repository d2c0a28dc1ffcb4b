/** What Envoy is to have, as an xDS view: the store's resources, listeners with their address, and what goes soon. */
import { type ConnectedClient, type Resource, ResourceCache, type ResourceKey, resource } from '@weft/xds';
import type { ResourceStore } from '../state/store.ts';
import type { PortOf } from '../tables/policy-rows.ts';
import { listenerAddress } from './address.ts';
import { CLUSTER_TYPE, envoyResource, LISTENER_TYPE, namesOfListener, PREFIX, ROUTE_TYPE } from './resources.ts';

/** All Envoys of a node see the same. */
export const VIEW = 'envoy';

/** What an Envoy has of all that it should: all of it, an answer to all of it, or less. */
export type Completeness = 'all' | 'answered' | 'pending';

export type ListenerVerdict =
  | { readonly kind: 'ready' | 'pending' | 'absent' }
  | { readonly kind: 'rejected'; readonly reason: string };

export interface EnvoyConfigOptions {
  readonly store: Pick<ResourceStore, 'get' | 'names'>;
  readonly portOf: PortOf;
  /** Whether pods have IPv6. */
  readonly ipv6: () => boolean;
}

export class EnvoyConfig {
  readonly cache = new ResourceCache();
  readonly #options: EnvoyConfigOptions;
  /** By the store's name. */
  readonly #resources = new Map<string, Resource>();

  constructor(options: EnvoyConfigOptions) {
    this.#options = options;
  }

  /** Takes over everything that the store holds; from now on Envoys are told. */
  start(): void {
    this.#commit(this.#options.store.names(PREFIX), []);
  }

  /** Tells Envoys what the store holds under these names; what it does not hold stays. */
  update(names: readonly string[]): void {
    this.#commit(names, []);
  }

  /** Takes away what the store does not hold (any more). */
  remove(names: readonly string[]): void {
    this.#commit(
      [],
      names.filter((name) => this.#options.store.get(name) === undefined),
    );
  }

  get(name: string): Resource | undefined {
    return this.#resources.get(name);
  }

  entries(): IterableIterator<[string, Resource]> {
    return this.#resources.entries();
  }

  /** What a client says to the current version of a resource. */
  standing(name: string, client: ConnectedClient): 'unknown' | 'accepted' | 'pending' | { readonly reason: string } {
    const wanted = this.#resources.get(name);
    const standing = wanted && client.standing(wanted.typeUrl, wanted.name);
    if (standing === undefined) return 'unknown';
    if (standing.kind === 'pending' || standing.version !== wanted?.version) return 'pending';
    return standing.kind === 'accepted' ? 'accepted' : { reason: standing.reason.trim() };
  }

  /** Whether connections can be sent to a listener: an Envoy has it and its routes. */
  judge(listener: bigint, client: ConnectedClient): ListenerVerdict {
    const names = namesOfListener(listener).filter((name) => this.#resources.has(name));
    if (names[0] === undefined || this.#resources.get(names[0])?.typeUrl !== LISTENER_TYPE) return { kind: 'absent' };
    let kind: 'ready' | 'pending' = 'ready';
    for (const name of names) {
      const standing = this.standing(name, client);
      if (typeof standing === 'object') return { kind: 'rejected', reason: standing.reason };
      if (standing !== 'accepted') kind = 'pending';
    }
    return { kind };
  }

  /** Envoy asks for routes by name once it has the listener that uses them, so those that it never asks for are none of its own. */
  completeness(client: ConnectedClient): Completeness {
    let result: Completeness = 'all';
    for (const [name, { typeUrl }] of this.#resources) {
      if (typeUrl !== LISTENER_TYPE && typeUrl !== ROUTE_TYPE && typeUrl !== CLUSTER_TYPE) continue;
      const standing = this.standing(name, client);
      if (standing === 'accepted') continue;
      if (typeof standing === 'object') result = 'answered';
      else if (standing === 'pending' || typeUrl !== ROUTE_TYPE || this.#isOwed(name, client)) return 'pending';
    }
    return result;
  }

  /** Whether the listener of the same name was accepted, so that the routes will be asked for. */
  #isOwed(routeName: string, client: ConnectedClient): boolean {
    const listener = routeName.replace(`${PREFIX}route/`, `${PREFIX}listener/`);
    return this.standing(listener, client) === 'accepted';
  }

  #commit(names: readonly string[], gone: readonly string[]): void {
    const upserts = names.flatMap((name): Resource[] => {
      const made = this.#make(name);
      if (made) this.#resources.set(name, made);
      return made ? [made] : [];
    });
    const deletes = gone.flatMap((name): ResourceKey[] => {
      const old = this.#resources.get(name);
      this.#resources.delete(name);
      return old ? [{ typeUrl: old.typeUrl, name: old.name }] : [];
    });
    this.cache.commit({ views: new Map([[VIEW, { upserts, deletes }]]) });
  }

  /** Undefined: the store does not hold it, or there is no port left for it. */
  #make(name: string): Resource | undefined {
    const wanted = envoyResource(name, this.#options.store.get(name)?.bytes);
    if (wanted === undefined) return undefined;
    if (wanted.listener === 0n) return resource(wanted.typeUrl, wanted.name, wanted.value);
    const port = this.#options.portOf(wanted.listener);
    if (port === undefined) return undefined;
    const bytes = Buffer.concat([wanted.value, listenerAddress(port, this.#options.ipv6())]);
    return resource(wanted.typeUrl, wanted.name, bytes);
  }
}
