import type { NodeResource } from '@weft/node-api';
import type { Clock } from 'kopf-ts';
import type { Problem } from '../reconcilers/facts.ts';
import type { Output, PolicyState } from '../reconcilers/index.ts';
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

/** How long a node that never reported is taken for one that is just joining, in milliseconds. */
const JOINING_MS = 60_000;

/** Told which objects (`<Kind>/<namespace>/<name>`) there is something new to say about; must not throw. */
export type ChangeListener = (keys: Iterable<string>) => void;

/** What the compiler made and the nodes said: all that statuses are derived from. */
export class Model implements Nodes {
  readonly policies = new Map<string, PolicyState>();
  /** What is wrong with objects of any kind, as far as their own text is concerned. */
  readonly problems = new Map<string, readonly Problem[]>();
  /** Services, `namespace/name`, that have ports and not a single backend. */
  readonly emptyServices = new Set<string>();
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

  /** Serves what the compiler made, then remembers it; `touched` are the keys of the objects that it was made for. */
  apply(output: Output, touched: Iterable<string>): void {
    const { publisher, reports } = this.#options;
    publisher.publish(output);
    const changed = new Set(touched);
    // A headless Service makes nothing, but a MeshService of its name has something to say about that.
    for (const key of touched) if (key.startsWith('Service/')) changed.add(`Mesh${key}`);
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

  #shared(name: string, resource: NodeResource | undefined, changed: Set<string>): void {
    if (!name.startsWith('service/')) return;
    const service = name.slice('service/'.length);
    const message = resource?.resource;
    if (message?.$case === 'service') {
      this.serviceRevisions.set(service, this.#options.publisher.revision);
      const { ports } = message.value;
      if (ports.length > 0 && ports.every(({ backends }) => backends.length === 0)) this.emptyServices.add(service);
      else this.emptyServices.delete(service);
    } else {
      this.serviceRevisions.delete(service);
      this.emptyServices.delete(service);
    }
    changed.add(`Service/${service}`);
    changed.add(`MeshService/${service}`);
  }

  #tell(keys: Iterable<string>): void {
    for (const listener of [...this.#listeners]) listener(keys);
  }
}
