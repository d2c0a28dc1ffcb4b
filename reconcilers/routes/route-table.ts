import type { NodeResource } from '@weft/node-api';
import { clusterName, listenerName, routeListener } from '../envoy/names.ts';
import { serviceListenerResource, serviceRoutesResource } from '../envoy/resources.ts';
import type { RouteFact, ServiceFact, ServicePortFact } from '../facts.ts';
import type { RouteVerdict } from '../output.ts';
import { type Family, familiesOf } from '../services/ports.ts';
import type { Routing, ServiceTable } from '../services/service-table.ts';
import type { Visits } from '../visits.ts';
import { inOrder } from './order.ts';
import { isUnderstood, problemOf, type Target, targetsOf, verdictOf } from './verdict.ts';

/** As `HTTPRoute/ns/name`. */
export function routeKey({ routeKind, namespace, name }: Pick<RouteFact, 'routeKind' | 'namespace' | 'name'>): string {
  return `${routeKind}/${namespace}/${name}`;
}

interface RouteRecord {
  readonly fact: RouteFact;
  /** Keys of the Services (namespace/name) whose clients it is for. */
  readonly parents: ReadonlySet<string>;
  /** Ports that it leads to, by key of the Service; with whether they are mirrors. */
  readonly backends: ReadonlyMap<string, ReadonlyMap<number, boolean>>;
}

/** Routes by the Services that they are attached to and lead to. */
export class RouteTable implements Routing {
  readonly #services: ServiceTable;
  readonly #records = new Map<string, RouteRecord>();
  readonly #byParent = new Map<string, Set<RouteRecord>>();
  readonly #byBackend = new Map<string, Set<RouteRecord>>();
  /** What was last said of a route. */
  readonly #said = new Map<string, string>();
  /** Names of the resources that nodes hold for a Service. */
  readonly #told = new Map<string, readonly string[]>();
  /** Routes to say something of. */
  readonly #dirtyRoutes = new Set<string>();
  /** Services whose clients may have to be routed in another way. */
  readonly #dirtyServices = new Set<string>();

  constructor(services: ServiceTable) {
    this.#services = services;
  }

  get size(): number {
    return this.#records.size + this.#byParent.size + this.#byBackend.size + this.#said.size + this.#told.size;
  }

  /** `fact`: what is now known of the route; undefined: it is gone. */
  set(key: string, fact: RouteFact | undefined): void {
    this.#remove(key);
    if (fact !== undefined) this.#add(key, fact);
  }

  /** A Service came, went or changed, not only its endpoints. */
  serviceChanged(key: string): void {
    if (this.#byParent.has(key)) this.#dirtyServices.add(key);
    for (const record of this.#byParent.get(key) ?? []) this.#dirtyRoutes.add(routeKey(record.fact));
    for (const record of this.#byBackend.get(key) ?? []) {
      this.#dirtyRoutes.add(routeKey(record.fact));
      for (const parent of record.parents) this.#dirtyServices.add(parent);
    }
  }

  isAttached(key: string, { protocol, port }: ServicePortFact): boolean {
    return protocol === 'TCP' && this.#attached(key, port).length > 0;
  }

  isBackend(key: string, port: ServicePortFact): boolean {
    return this.#uses(key, port).length > 0;
  }

  isMirror(key: string, port: ServicePortFact): boolean {
    return this.#uses(key, port).includes(true);
  }

  /** Listeners and routes of the Services whose clients may have to be routed in another way. */
  *changes(visits: Visits): Iterable<[name: string, resource: NodeResource | undefined]> {
    for (const key of [...this.#dirtyServices].sort()) {
      visits.count++;
      const resources = this.#resources(key, visits);
      for (const name of this.#told.get(key) ?? []) if (!resources.has(name)) yield [name, undefined];
      yield* resources;
      if (resources.size === 0) this.#told.delete(key);
      else this.#told.set(key, [...resources.keys()]);
    }
    this.#dirtyServices.clear();
  }

  /** What is to be said of routes, where it is something else than before; undefined: the route is gone. */
  *verdicts(visits: Visits): Iterable<[key: string, verdict: RouteVerdict | undefined]> {
    for (const key of [...this.#dirtyRoutes].sort()) {
      visits.count++;
      const record = this.#records.get(key);
      const verdict = record && verdictOf(record.fact, this.#services);
      const text = verdict && JSON.stringify([record?.fact.generation, verdict]);
      if (text === this.#said.get(key)) continue;
      if (text === undefined) this.#said.delete(key);
      else this.#said.set(key, text);
      yield [key, verdict];
    }
    this.#dirtyRoutes.clear();
  }

  /** By each route that leads to the port. */
  #uses(key: string, { protocol, port }: ServicePortFact): boolean[] {
    const records = protocol === 'TCP' ? [...(this.#byBackend.get(key) ?? [])] : [];
    return records.map(({ backends }) => backends.get(key)?.get(port)).filter((mirror) => mirror !== undefined);
  }

  #attached(key: string, port: number): RouteFact[] {
    return [...(this.#byParent.get(key) ?? [])]
      .map(({ fact }) => fact)
      .filter(
        (fact) =>
          isUnderstood(fact) &&
          fact.parents.some(
            (parent) =>
              `${parent.namespace}/${parent.service}` === key && (parent.port === undefined || parent.port === port),
          ),
      );
  }

  #resources(key: string, visits: Visits): Map<string, NodeResource> {
    const resources = new Map<string, NodeResource>();
    const service = this.#services.get(key);
    for (const port of service?.ports.filter((one) => one.protocol === 'TCP') ?? []) {
      const routes = this.#attached(key, port.port);
      if (service === undefined || routes.length === 0) continue;
      visits.count += routes.length;
      const id = routeListener(key, port.port);
      const chains = chainsOf(listenerName(id), service);
      resources.set(`envoy/listener/${listenerName(id)}`, serviceListenerResource(id, chains));
      const entries = inOrder(routes);
      for (const { routes: name, family = familiesOf(service)[0] ?? 'ipv4' } of chains) {
        const around = { port: port.port, clusterOf: (target: Target) => this.#clusterOf(target, family) };
        resources.set(`envoy/route/${name}`, serviceRoutesResource(name, entries, around));
      }
    }
    return resources;
  }

  /** undefined: requests for it are answered 500. */
  #clusterOf(target: Target, family: Family): string | undefined {
    if (problemOf(target, this.#services) !== undefined) return undefined;
    const key = `${target.namespace}/${target.service}`;
    const service = this.#services.get(key);
    const reachable = service !== undefined && familiesOf(service).includes(family);
    return reachable ? clusterName(key, target.port, family) : undefined;
  }

  #add(key: string, fact: RouteFact): void {
    const backends = new Map<string, Map<number, boolean>>();
    for (const { target, mirror } of targetsOf(fact)) {
      if (target.refused !== undefined) continue;
      const service = `${target.namespace}/${target.service}`;
      const ports = backends.get(service) ?? new Map<number, boolean>();
      backends.set(service, ports.set(target.port, mirror || ports.get(target.port) === true));
    }
    const parents = new Set(fact.parents.map(({ namespace, service }) => `${namespace}/${service}`));
    const record: RouteRecord = { fact, parents, backends };
    this.#records.set(key, record);
    for (const parent of parents) index(this.#byParent, parent, record);
    for (const backend of backends.keys()) index(this.#byBackend, backend, record);
    this.#mark(key, record);
  }

  #remove(key: string): void {
    const record = this.#records.get(key);
    if (record === undefined) return;
    this.#records.delete(key);
    for (const parent of record.parents) unindex(this.#byParent, parent, record);
    for (const backend of record.backends.keys()) unindex(this.#byBackend, backend, record);
    this.#mark(key, record);
  }

  #mark(key: string, { parents, backends }: RouteRecord): void {
    this.#dirtyRoutes.add(key);
    for (const parent of parents) this.#dirtyServices.add(parent);
    for (const service of [...parents, ...backends.keys()]) this.#services.touch(service);
  }
}

/** Clients of one family each where the Service has both; the name of the first one's routes is the listener's. */
function chainsOf(name: string, service: ServiceFact): { family?: Family; routes: string }[] {
  const families = familiesOf(service);
  if (families.length < 2) return [{ routes: name }];
  return families.map((family, position) => ({ family, routes: position === 0 ? name : `${name}/${family}` }));
}

function index(map: Map<string, Set<RouteRecord>>, key: string, record: RouteRecord): void {
  const records = map.get(key);
  if (records === undefined) map.set(key, new Set([record]));
  else records.add(record);
}

function unindex(map: Map<string, Set<RouteRecord>>, key: string, record: RouteRecord): void {
  const records = map.get(key);
  records?.delete(record);
  if (records?.size === 0) map.delete(key);
}
