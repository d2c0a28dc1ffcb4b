/** Envoy's listeners as far as the kernel's rows depend on them. */
import { envoyResource, PREFIX } from '../envoy/resources.ts';
import { listenersOf, type PortOf, setOfName } from '../tables/policy-rows.ts';
import { decodeResource } from '../tables/resource.ts';
import { routeListenersOf } from '../tables/service-rows.ts';
import type { Journal } from './journal.ts';
import type { ResourceStore, Upsert } from './store.ts';

/** Who serves the listeners. */
export interface ListenerHost {
  readonly portOf: PortOf;
  /** Gives each listener a port, which it keeps. */
  reserve(listeners: Iterable<bigint>): void;
  /**
   * Tells Envoy what the store holds under these names, and waits for a bounded time until it has the listeners.
   *
   * @returns listeners that Envoy refuses, and why
   */
  offer(names: readonly string[], listeners: ReadonlySet<bigint>): Promise<ReadonlyMap<bigint, string>>;
  /** What Envoy says against a resource, by the store's name. */
  errorOf(name: string): string | undefined;
  /** The kernel holds what the store says; these names are gone. */
  settle(deleted: readonly string[], isPointedAt: (listener: bigint) => boolean): void;
}

/** Where there is no Envoy at all: rows for one can't be made. */
export const NO_LISTENERS: ListenerHost = {
  portOf: () => undefined,
  reserve() {},
  offer: async () => new Map(),
  errorOf: () => undefined,
  settle() {},
};

/** What became of a batch. */
export interface SettledBatch {
  readonly good: readonly Upsert[];
  readonly offered: readonly string[];
  readonly deletes: readonly string[];
}

/** Lets policy sets through once Envoy has what they point at, and knows which listeners the kernel's rows name. */
export class ListenerGate {
  readonly #host: ListenerHost;
  readonly #store: ResourceStore;
  readonly #journal: Journal;
  /** Listeners that each set in the store points at; only sets that do. */
  readonly #bySet = new Map<string, ReadonlySet<bigint>>();
  /** There are listeners of routes: Services are looked at, too. */
  #routes = false;
  /** How many sets and Services point at a listener. */
  readonly #uses = new Map<bigint, number>();
  /** Sets that wait for Envoy to take their listeners, by name; the store has their last good version, or them. */
  readonly #held = new Map<string, Upsert>();

  constructor(host: ListenerHost, store: ResourceStore, journal: Journal) {
    this.#host = host;
    this.#store = store;
    this.#journal = journal;
  }

  get holdsBack(): boolean {
    return this.#held.size > 0;
  }

  portOf(listener: bigint): number | undefined {
    return this.#host.portOf(listener);
  }

  /** Takes over what the store holds. */
  start(): void {
    for (const name of this.#store.names('policyset/')) this.note(name);
    this.#routes = this.#store.names(ROUTES).length > 0;
    if (this.#routes) for (const name of this.#store.names(SERVICES)) this.note(name);
    const all = [...this.#store.names(PREFIX)].flatMap((name) => envoyListener(name, this.#store.get(name)?.bytes));
    this.#host.reserve([...this.#uses.keys(), ...all]);
  }

  /** To be called when the store has another version of a set or a Service. */
  note(name: string): void {
    const listeners = this.#listenersIn(name, this.#store.get(name)?.bytes);
    for (const id of listeners) this.#count(id, 1);
    for (const id of this.#bySet.get(name) ?? []) this.#count(id, -1);
    if (listeners.size > 0) this.#bySet.set(name, listeners);
    else this.#bySet.delete(name);
  }

  /** Sets that were held back and that a batch does not replace: to be tried with it. */
  again(replaced: ReadonlySet<string>): Upsert[] {
    return [...this.#held.values()].filter(({ name }) => !replaced.has(name));
  }

  /**
   * Stores and offers what is for Envoy, and waits for listeners that no row points at yet.
   *
   * @param errors is given those of sets that Envoy is in the way of
   * @returns the names of what was for Envoy, and of the rest what may be applied now
   */
  async offer(sound: Upsert[], errors: Map<string, string>): Promise<{ good: Upsert[]; offered: string[] }> {
    const forEnvoy = sound.filter(({ name }) => name.startsWith(PREFIX));
    this.#routes ||= forEnvoy.some(({ name }) => name.startsWith(ROUTES));
    const fresh = new Set(sound.flatMap((upsert) => this.#awaited(upsert)));
    if (fresh.size === 0 && forEnvoy.length === 0) return { good: sound, offered: [] };
    this.#host.reserve([...fresh, ...forEnvoy.flatMap(({ name, bytes }) => envoyListener(name, bytes))]);
    if (forEnvoy.length > 0) this.#journal.append(forEnvoy, [], this.#store);
    for (const upsert of forEnvoy) this.#store.set(upsert);
    const offered = forEnvoy.map(({ name }) => name);
    const refused = await this.#host.offer(offered, fresh);
    const rest = sound.filter(({ name }) => !name.startsWith(PREFIX));
    return { good: rest.filter((upsert) => this.#takes(upsert, refused, errors)), offered };
  }

  /** To be called when the kernel holds what the store says: of a batch that is on disk. */
  settle(batch: SettledBatch, errors: Map<string, string>): void {
    for (const { name } of batch.good) if (!errors.has(name)) this.#held.delete(name);
    for (const name of batch.deletes) this.#held.delete(name);
    this.#host.settle(
      batch.deletes.filter((name) => name.startsWith(PREFIX)),
      (listener) => this.#uses.has(listener),
    );
    for (const name of batch.offered) {
      const refused = this.#host.errorOf(name);
      if (refused !== undefined) errors.set(name, refused);
    }
  }

  /** Listeners that Envoy has to take before a set is as it should be. */
  #awaited({ name, bytes }: Upsert): bigint[] {
    return [...this.#listenersIn(name, bytes)].filter((id) => this.#held.has(name) || !this.#uses.has(id));
  }

  /** Whether a resource may be applied, as far as Envoy has a say in it; else it waits. */
  #takes(upsert: Upsert, refused: ReadonlyMap<bigint, string>, errors: Map<string, string>): boolean {
    const listeners = [...this.#listenersIn(upsert.name, upsert.bytes)];
    const hasPorts = listeners.every((id) => this.#host.portOf(id) !== undefined);
    const reasons = hasPorts ? listeners.flatMap((id) => refused.get(id) ?? []) : [NO_PORT];
    if (reasons.length === 0) return true;
    const what = upsert.name.startsWith(SERVICES) ? 'routes' : 'HTTP rules';
    errors.set(upsert.name, `Envoy does not serve the listener of its ${what}: ${reasons.join('; ')}`);
    this.#held.set(upsert.name, upsert);
    // Without an earlier version it is applied: connections that need the listener are refused, and no others.
    return hasPorts && this.#store.get(upsert.name) === undefined;
  }

  #listenersIn(name: string, bytes: Uint8Array | undefined): ReadonlySet<bigint> {
    return !this.#routes && name.startsWith(SERVICES) ? NONE : listenersIn(name, bytes);
  }

  #count(listener: bigint, by: number): void {
    const uses = (this.#uses.get(listener) ?? 0) + by;
    if (uses <= 0) this.#uses.delete(listener);
    else this.#uses.set(listener, uses);
  }
}

const NO_PORT = 'this node has no port left for it';
const NONE: ReadonlySet<bigint> = new Set();

const SERVICES = 'service/';
/** What Envoy balances over, which only routes need; without any no Service names a listener. */
const ROUTES = `${PREFIX}endpoints/`;

/** The listeners that a resource's rows point at; none for what is neither a policy set nor a Service. */
function listenersIn(name: string, bytes: Uint8Array | undefined): ReadonlySet<bigint> {
  if (bytes === undefined || !(name.startsWith(SERVICES) || setOfName(name) !== undefined)) return NONE;
  const resource = decodeResource(name, bytes);
  if (resource.$case === 'service') return new Set(routeListenersOf(resource.value));
  return resource.$case === 'policySet' ? listenersOf(resource.value) : NONE;
}

function envoyListener(name: string, bytes: Uint8Array | undefined): bigint[] {
  const listener = envoyResource(name, bytes)?.listener ?? 0n;
  return listener === 0n ? [] : [listener];
}
