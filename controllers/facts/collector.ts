import { type Kind, type KubeClient, KubeError, type KubeObject, keyOf, type Store, structurallyEqual } from 'kopf-ts';
import type { Problem } from '../../reconcilers/facts.ts';
import { translate, trim } from '../../sources/index.ts';
import { asError } from '../errors.ts';
import { crdKind, crdNameOf, gateway, type SourceKindName, sourceKindNames, sourceKinds } from '../kinds.ts';
import { Grants } from './grants.ts';
import { type FactChange, FactQueue } from './queue.ts';

/** An object that the operator read, as far as it keeps it. */
export interface SourceObject extends KubeObject {
  readonly status?: unknown;
}

/** What `Operator.watch` of kopf-ts does. */
export type Watch = (
  kind: Kind,
  options: {
    readonly transform: (object: KubeObject) => SourceObject | undefined;
    readonly same?: (before: SourceObject, after: SourceObject) => boolean;
  },
) => Store<SourceObject>;

export interface CollectorOptions {
  readonly client: KubeClient;
  readonly watch: Watch;
  readonly deliver: (changes: readonly FactChange[]) => void;
  /** Told of each object that has problems, or has no more; before the facts of the object are delivered. */
  readonly onProblems: (key: string, problems: readonly Problem[]) => void;
  /** Told of an object of which somebody changed nothing but a status that several write. */
  readonly onStatus: (key: string) => void;
  readonly log: (line: string) => void;
}

/** Mirrors all kinds that say something about the network, and turns their objects into facts. */
export class FactCollector {
  readonly #options: CollectorOptions;
  readonly #queue: FactQueue;
  readonly #grants = new Grants();
  readonly #stores = new Map<SourceKindName, Store<SourceObject>>();
  readonly #missing = new Set<SourceKindName>(sourceKindNames);
  readonly #absent = new Set<SourceKindName>();
  readonly #opened = Promise.withResolvers<void>();

  constructor(options: CollectorOptions) {
    this.#options = options;
    this.#queue = new FactQueue(options.deliver);
    for (const name of sourceKindNames) this.#mirror(name);
  }

  /** Resolves when every kind was read once and the first batch was delivered. */
  get ready(): Promise<void> {
    return this.#opened.promise;
  }

  /** Kinds that were not read yet. */
  get waitingFor(): readonly string[] {
    return [...this.#missing];
  }

  /** Kinds whose CustomResourceDefinition is not installed. */
  get absent(): readonly string[] {
    return [...this.#absent].sort();
  }

  /** The object as last read; `key` as of `FactChange`. */
  object(key: string): SourceObject | undefined {
    const slash = key.indexOf('/');
    const store = sourceKindNames.find((name) => name === key.slice(0, slash));
    return store === undefined ? undefined : this.#stores.get(store)?.get(key.slice(slash + 1));
  }

  /** All objects of a kind. */
  *objects(name: SourceKindName): Generator<SourceObject> {
    if (!this.#absent.has(name)) yield* this.#stores.get(name)?.list() ?? [];
  }

  /** Whether a failure of a watcher only says again that its kind is not installed. */
  isExpected(subject: string, error: Error): boolean {
    if (!(error instanceof KubeError && error.isNotFound)) return false;
    return [...this.#absent].some((name) => this.#stores.get(name)?.name === subject);
  }

  /** To be called with each failure of a watcher: is the whole kind unknown to the API server? */
  async onFailure(subject: string, error: Error): Promise<void> {
    if (!(error instanceof KubeError && error.isNotFound)) return;
    for (const name of sourceKindNames) {
      const crd = crdNameOf(sourceKinds[name]);
      if (crd !== undefined && this.#stores.get(name)?.name === subject) await this.#confirmAbsence(name, crd);
    }
  }

  /**
   * A "not found" may also come from an API server that is just starting. To believe it would drop every policy of
   * that kind, and so open what they close: only a CustomResourceDefinition that is gone as well counts, and for kinds
   * of the Gateway API, which close nothing, one without the version that is read here.
   */
  async #confirmAbsence(name: SourceKindName, crd: string): Promise<void> {
    const { client, log } = this.#options;
    if (this.#absent.has(name)) return;
    let missing = `${crd} is not installed`;
    try {
      const { group, version } = sourceKinds[name];
      const { spec } = await client.get(crdKind, { name: crd });
      if (group !== gateway.group || spec?.versions?.some((each) => each.name === version && each.served)) return;
      missing = `${crd} is installed without version ${version}`;
    } catch (thrown) {
      if (!(thrown instanceof KubeError && thrown.isNotFound)) {
        log(`CustomResourceDefinition ${crd}: ${asError(thrown).message}`);
        return;
      }
    }
    if (this.#absent.has(name)) return;
    this.#absent.add(name);
    log(`${missing}; its objects count as soon as it is`);
    for (const object of this.#stores.get(name)?.list() ?? []) this.#put(name, object.metadata, undefined);
    this.#arrived(name);
  }

  #mirror(name: SourceKindName): void {
    const store = this.#options.watch(sourceKinds[name], {
      transform: (object) => kept(name, object),
      same: structurallyEqual,
    });
    this.#stores.set(name, store);
    store.subscribe(({ upserts, previous, deletes }) => {
      if (this.#absent.delete(name)) {
        // What was there before the kind was gone was dropped: the whole list is news.
        for (const object of store.list()) this.#put(name, object.metadata, object);
      } else {
        for (const [index, object] of upserts.entries()) {
          if (!(hasOurStatus(name) && meansTheSame(previous[index], object))) this.#put(name, object.metadata, object);
          else if (sharesStatus(name)) this.#options.onStatus(`${name}/${keyOf(object.metadata)}`);
        }
      }
      for (const object of deletes) this.#put(name, object.metadata, undefined);
      this.#arrived(name);
    });
  }

  #put(name: SourceKindName, metadata: KubeObject['metadata'], object: SourceObject | undefined): void {
    const key = `${name}/${keyOf(metadata)}`;
    const { facts, problems } = object === undefined ? { facts: [], problems: [] } : translate(name, object);
    this.#options.onProblems(key, problems);
    if (name !== 'ReferenceGrant') {
      this.#queue.put(key, this.#grants.permit(key, facts));
      return;
    }
    for (const route of this.#grants.set(key, facts)) this.#again(route);
  }

  /** A grant that came or went may permit or refuse what the route refers to. */
  #again(key: string): void {
    const slash = key.indexOf('/');
    const name = sourceKindNames.find((known) => known === key.slice(0, slash));
    const object = this.object(key);
    if (name !== undefined && object !== undefined) this.#put(name, object.metadata, object);
  }

  #arrived(name: SourceKindName): void {
    if (!this.#missing.delete(name) || this.#missing.size > 0) return;
    this.#queue.open();
    this.#opened.resolve();
  }
}

/** Kinds whose status the operator writes: it compares with what is there. */
function hasOurStatus(name: SourceKindName): boolean {
  return OUR_STATUS.has(name) || sharesStatus(name);
}

const OUR_STATUS: ReadonlySet<SourceKindName> = new Set([
  'CiliumNetworkPolicy',
  'CiliumClusterwideNetworkPolicy',
  'MeshService',
  'L7Route',
]);

/** Kinds whose status has parts of several controllers. */
function sharesStatus(name: SourceKindName): boolean {
  return name === 'HTTPRoute' || name === 'GRPCRoute';
}

/** Only what `translate` reads, and what a status is written by. */
function kept(name: SourceKindName, object: KubeObject): SourceObject {
  const { resourceVersion } = object.metadata;
  const light = Object.fromEntries(Object.entries(object.metadata).filter(([field]) => KEPT_METADATA.has(field)));
  // Objects of a list do not say what they are, those of a watch do: it must not make them differ either.
  const { apiVersion: _, kind: __, ...trimmed }: Partial<KubeObject> = trim(name, object);
  return {
    ...trimmed,
    metadata: {
      ...light,
      name: object.metadata.name,
      // Heartbeats of nodes and pods change nothing but this; it must not make them differ.
      ...(hasOurStatus(name) && resourceVersion !== undefined ? { resourceVersion } : {}),
    },
  };
}

const KEPT_METADATA: ReadonlySet<string> = new Set([
  'namespace',
  'uid',
  'generation',
  'labels',
  'creationTimestamp',
  'deletionTimestamp',
]);

/** Whether two versions of an object differ in nothing but what the operator itself writes. */
function meansTheSame(before: SourceObject | undefined, after: SourceObject): boolean {
  if (before === undefined) return false;
  const meaning = ({ status: _, metadata: { resourceVersion: __, ...metadata }, ...rest }: SourceObject): object => ({
    ...rest,
    metadata,
  });
  return structurallyEqual(meaning(before), meaning(after));
}
