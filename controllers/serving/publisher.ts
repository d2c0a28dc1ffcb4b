import { NodeResource, nodeResourceType, type PolicyListener, type PolicyRef, type PolicySet } from '@weft/node-api';
import { type Changes, type Resource, type ResourceCache, type ResourceKey, resource } from '@weft/xds';
import { resourceNames } from '../../reconcilers/envoy/names.ts';
import type { Output } from '../../reconcilers/index.ts';

/** What one node's part of the cache is asked for. */
export interface NodeView {
  /** The version of a resource that the node should hold; undefined: none. */
  version(name: string): string | undefined;
  /** Names of all that the node should hold beside what every node holds. */
  ownNames(): Iterable<string>;
  /** Names of the endpoints of this node that are under a policy set, by the set's name. */
  endpointsUnder(set: string): ReadonlySet<string>;
  /** What Envoy needs for the HTTP rules of a policy set. */
  listenersOf(set: string): readonly SetListener[];
}

export interface SetListener {
  /** Of the resources. */
  readonly names: readonly string[];
  /** Keys of the policies that have a rule behind it. */
  readonly policies: ReadonlySet<string>;
}

const NONE: ReadonlySet<string> = new Set();

/** Puts the compiler's output into the cache that agents are served from, one commit for each output. */
export class Publisher {
  readonly #cache: ResourceCache;
  /** The compiler may hand the same object to many nodes: it is encoded, and held, once. */
  readonly #encoded = new WeakMap<NodeResource, Resource>();
  readonly #nodes = new Map<string, NodeIndex>();

  constructor(cache: ResourceCache) {
    this.#cache = cache;
  }

  /** Names of the nodes that are served. */
  get nodes(): IterableIterator<string> {
    return this.#nodes.keys();
  }

  get revision(): number {
    return this.#cache.revision;
  }

  publish(output: Output): void {
    const views = new Map<string, Changes>();
    for (const name of output.shared.upserts.keys()) {
      // A node's view begins with the node, even if there is nothing in it.
      const node = nodeOf(name);
      if (node !== undefined && !this.#nodes.has(node)) {
        this.#nodes.set(node, new NodeIndex());
        views.set(node, {});
      }
    }
    const gone = [...output.shared.deletes].flatMap((name) => nodeOf(name) ?? []);
    for (const [node, changes] of output.views) {
      this.#nodes.get(node)?.apply(changes);
      if (this.#nodes.has(node)) views.set(node, this.#changes(changes));
    }
    this.#cache.commit({ shared: this.#changes(output.shared), views });
    for (const node of gone) {
      this.#cache.removeView(node);
      this.#nodes.delete(node);
    }
  }

  /** The version of a resource that all nodes hold. */
  sharedVersion(name: string): string | undefined {
    const [anyNode] = this.#nodes.keys();
    return this.#cache.get(anyNode ?? '', nodeResourceType, name)?.version;
  }

  view(node: string): NodeView | undefined {
    const index = this.#nodes.get(node);
    if (index === undefined) return undefined;
    return {
      version: (name) => this.#cache.get(node, nodeResourceType, name)?.version,
      ownNames: () => index.names,
      endpointsUnder: (set) => index.endpointsUnder(set),
      listenersOf: (set) => index.listenersOf(set),
    };
  }

  #changes({ upserts, deletes }: Output['shared']): Changes {
    return {
      upserts: [...upserts].map(([name, message]) => this.#encode(name, message)),
      deletes: [...deletes].map((name): ResourceKey => ({ typeUrl: nodeResourceType, name })),
    };
  }

  #encode(name: string, message: NodeResource): Resource {
    const known = this.#encoded.get(message);
    if (known?.name === name) return known;
    const encoded = resource(nodeResourceType, name, NodeResource.encode(sorted(message)).finish());
    this.#encoded.set(message, encoded);
    return encoded;
  }
}

/** Protobuf writes a map in the order of its keys' insertion; replicas must agree on the bytes. */
function sorted(message: NodeResource): NodeResource {
  if (message.resource?.$case !== 'endpoint') return message;
  const { value } = message.resource;
  const labels = Object.fromEntries(Object.entries(value.labels).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { resource: { $case: 'endpoint', value: { ...value, labels } } };
}

function nodeOf(name: string): string | undefined {
  return name.startsWith('node/') ? name.slice('node/'.length) : undefined;
}

export function policySetName(id: bigint): string {
  return `policyset/${id.toString(16).padStart(16, '0')}`;
}

function setListener({ rules }: PolicySet, { id, rules: behind }: PolicyListener): SetListener {
  const policies = behind.map((index) => rules[index]?.policy).filter((ref) => ref !== undefined);
  return {
    names: [resourceNames.listener(id), resourceNames.route(id), resourceNames.cluster],
    policies: new Set(policies.map(refKey)),
  };
}

/** As in `CiliumNetworkPolicy/shop/api`. */
export function refKey({ kind, namespace, name }: PolicyRef): string {
  return [kind, namespace, name].filter((part) => part !== '').join('/');
}

/** What a node holds of its own, which endpoints are under which policy set, and what Envoy needs for each. */
class NodeIndex {
  readonly names = new Set<string>();
  readonly #setOf = new Map<string, string>();
  readonly #endpoints = new Map<string, Set<string>>();
  readonly #listeners = new Map<string, readonly SetListener[]>();

  apply({ upserts, deletes }: Output['shared']): void {
    for (const name of deletes) {
      this.names.delete(name);
      this.#listeners.delete(name);
      this.#move(name, undefined);
    }
    for (const [name, { resource: message }] of upserts) {
      this.names.add(name);
      if (message?.$case === 'endpoint') this.#move(name, policySetName(message.value.policySet));
      if (message?.$case !== 'policySet') continue;
      const listeners = message.value.listeners.map((listener) => setListener(message.value, listener));
      if (listeners.length === 0) this.#listeners.delete(name);
      else this.#listeners.set(name, listeners);
    }
  }

  endpointsUnder(set: string): ReadonlySet<string> {
    return this.#endpoints.get(set) ?? NONE;
  }

  listenersOf(set: string): readonly SetListener[] {
    return this.#listeners.get(set) ?? [];
  }

  #move(endpoint: string, set: string | undefined): void {
    const before = this.#setOf.get(endpoint);
    if (before === set) return;
    if (before !== undefined) {
      const others = this.#endpoints.get(before);
      others?.delete(endpoint);
      if (others?.size === 0) this.#endpoints.delete(before);
    }
    if (set === undefined) this.#setOf.delete(endpoint);
    else {
      this.#setOf.set(endpoint, set);
      const members = this.#endpoints.get(set) ?? new Set();
      this.#endpoints.set(set, members.add(endpoint));
    }
  }
}
