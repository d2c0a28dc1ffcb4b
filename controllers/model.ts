import type { NodeResource } from '@weft/node-api';
import type { Clock } from 'kopf-ts';
import { resourceNames } from '../reconcilers/envoy/names.ts';
import type { Problem, RouteFact } from '../reconcilers/facts.ts';
import type { Output, PolicyState, RouteVerdict } from '../reconcilers/index.ts';
import type { FactChange } from './facts/queue.ts';
import type { NodeStatus, ReportStore } from './reports/store.ts';
import type { NodeView, Publisher } from './serving/publisher.ts';
import type { Nodes } from './status/progress.ts';

export interface ModelOptions {
  readonly publisher: Publisher;
  readonly reports: ReportStore;
  readonly clock: Clock;
  /** When a node was created, in milliseconds since the epoch; undefined: not known. */
  readonly nodeCreated: (node: string) => number | undefined;
}

interface RoutedPort {
  readonly port: number;
  /** The id of Envoy's listener. */
  readonly listener: bigint;
}

/** How long a node that never reported is taken for one that is just joining, in milliseconds. */
const JOINING_MS = 60_000;

/** Told which objects (`<Kind>/<namespace>/<name>`) there is something new to say about; must not throw. */
export type ChangeListener = (keys: Iterable<string>) => void;

/** A route as it was compiled. */
export interface RouteState {
  readonly fact: RouteFact;
  /** undefined: the compiler said nothing of it. */
  readonly verdict: RouteVerdict | undefined;
}

/** What the compiler made and the nodes said: all that statuses are derived from. */
export class Model implements Nodes {
  readonly policies = new Map<string, PolicyState>();
  readonly routes = new Map<string, RouteState>();
  /** What is wrong with objects of any kind, as far as their own text is concerned. */
  readonly problems = new Map<string, readonly Problem[]>();
  /** Services, `namespace/name`, that have ports and not a single backend. */
  readonly emptyServices = new Set<string>();
  /** Ports of Services, `namespace/name`, that Envoy routes. */
  readonly #routedPorts = new Map<string, readonly RoutedPort[]>();
  /** The publisher's revision that brought a resource for Envoy, by its name, as it is now. */
  readonly #envoyRevisions = new Map<string, number>();
  /** The publisher's revision that brought a Service, `namespace/name`, as it is now. */
  readonly serviceRevisions = new Map<string, number>();
  readonly #options: ModelOptions;
  readonly #listeners = new Set<ChangeListener>();

  constructor(options: ModelOptions) {
    this.#options = options;
  }

  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Serves what the compiler made of `changes`, then remembers it. */
  apply(output: Output, changes: readonly FactChange[]): void {
    const { publisher, reports } = this.#options;
    publisher.publish(output);
    const changed = new Set(changes.map(({ key }) => key));
    // A headless Service makes nothing, but a MeshService of its name has something to say about that.
    for (const { key } of changes) if (key.startsWith('Service/')) changed.add(`Mesh${key}`);
    for (const { key, facts } of changes) this.#route(key, facts);
    for (const [key, verdict] of output.routes) {
      const route = this.routes.get(key);
      if (route !== undefined) this.routes.set(key, { fact: route.fact, verdict });
      changed.add(key);
    }
    for (const [key, state] of output.policies) {
      if (state === undefined) this.policies.delete(key);
      else this.policies.set(key, state);
      changed.add(key);
    }
    for (const [name, resource] of output.shared.upserts) this.#shared(name, resource, changed);
    for (const name of output.shared.deletes) {
      this.#shared(name, undefined, changed);
      if (name.startsWith('node/')) reports.forget(name.slice('node/'.length));
    }
    this.#tell(changed);
  }

  setProblems(key: string, problems: readonly Problem[]): void {
    if (problems.length > 0) this.problems.set(key, problems);
    else this.problems.delete(key);
    // The facts of the object follow, and with them everybody is told.
  }

  get nodes(): IterableIterator<string> {
    return this.#options.publisher.nodes;
  }

  view(node: string): NodeView | undefined {
    return this.#options.publisher.view(node);
  }

  status(node: string): NodeStatus | undefined {
    return this.#options.reports.get(node);
  }

  isJoining(node: string): boolean {
    const created = this.#options.nodeCreated(node);
    return created !== undefined && this.#options.clock.now() - created < JOINING_MS;
  }

  #route(key: string, facts: FactChange['facts']): void {
    const fact = facts.find((each) => each.kind === 'route');
    if (fact !== undefined) this.routes.set(key, { fact, verdict: this.routes.get(key)?.verdict });
    else this.routes.delete(key);
  }

  /**
   * What makes the route effective on a node: names, each with the publisher's revision that brought it as it is now.
   * undefined: one of its Services has no port that Envoy routes.
   */
  routeResources({ parents }: RouteFact): ReadonlyMap<string, number> | undefined {
    const names = new Map<string, number>();
    for (const { namespace, service, port } of parents) {
      const key = `${namespace}/${service}`;
      const routed = (this.#routedPorts.get(key) ?? []).filter((each) => port === undefined || each.port === port);
      if (routed.length === 0) return undefined;
      names.set(`service/${key}`, this.serviceRevisions.get(key) ?? 0);
      for (const name of routed.flatMap(({ listener: id }) => [resourceNames.listener(id), resourceNames.route(id)])) {
        names.set(name, this.#envoyRevisions.get(name) ?? 0);
      }
    }
    return names.size === 0 ? undefined : names;
  }

  #shared(name: string, resource: NodeResource | undefined, changed: Set<string>): void {
    if (name.startsWith('envoy/')) {
      if (resource === undefined) this.#envoyRevisions.delete(name);
      else this.#envoyRevisions.set(name, this.#options.publisher.revision);
    }
    if (!name.startsWith('service/')) return;
    const service = name.slice('service/'.length);
    const message = resource?.resource;
    if (message?.$case === 'service') {
      this.serviceRevisions.set(service, this.#options.publisher.revision);
      const { ports } = message.value;
      const routed = ports.filter(({ listener }) => listener !== 0n);
      if (routed.length > 0)
        this.#routedPorts.set(
          service,
          routed.map(({ port, listener }) => ({ port, listener })),
        );
      else this.#routedPorts.delete(service);
      if (ports.length > 0 && ports.every(({ backends }) => backends.length === 0)) this.emptyServices.add(service);
      else this.emptyServices.delete(service);
    } else {
      this.serviceRevisions.delete(service);
      this.#routedPorts.delete(service);
      this.emptyServices.delete(service);
    }
    changed.add(`Service/${service}`);
    changed.add(`MeshService/${service}`);
  }

  #tell(keys: Iterable<string>): void {
    for (const listener of [...this.#listeners]) listener(keys);
  }
}
