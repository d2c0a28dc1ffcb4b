/** What the compiler makes of HTTP rules for the node of the benchmark, as the agent would hold it. */
import {
  Cluster,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
} from '@envoyproxy/xds-protos/envoy/config/cluster/v3/cluster.ts';
import { Listener } from '@envoyproxy/xds-protos/envoy/config/listener/v3/listener.ts';
import { HttpConnectionManager } from '@envoyproxy/xds-protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import type { EnvoyResource } from '@weft/node-api';
import { type Resource, resource } from '@weft/xds';
import { listenerAddress } from '../../agent/envoy/address.ts';
import { CLUSTER_TYPE, LISTENER_TYPE } from '../../agent/envoy/resources.ts';
import { type Change, Compiler } from '../../reconcilers/index.ts';
import { Held } from '../../reconcilers/testing/held.ts';
import { type SourceKind, translate } from '../../sources/index.ts';

const namespace = 'bench';
const node = 'n1';

/** About the server's pod. `http`: the rules of requests on these ports. */
export interface PortRules {
  readonly name: string;
  readonly ports: readonly number[];
  readonly http: readonly object[];
}

/** As many requests as a rule may name. */
const mostInRule = 250;

function policy({ name, ports, http }: PortRules): Change {
  const chunks = Array.from({ length: Math.ceil(http.length / mostInRule) }, (_, index) =>
    http.slice(index * mostInRule, (index + 1) * mostInRule),
  );
  const toPorts = chunks.map((chunk) => ({
    ports: ports.map((port) => ({ port: String(port), protocol: 'TCP' })),
    rules: { http: chunk },
  }));
  const spec = { endpointSelector: { matchLabels: { app: 'server' } }, ingress: [{ fromEntities: ['all'], toPorts }] };
  return change('CiliumNetworkPolicy', { namespace, name }, { spec });
}

function pod(name: string, podIP: string): Change {
  const metadata = { namespace, name, uid: name, labels: { app: name } };
  return change('Pod', metadata, { spec: { nodeName: node }, status: { podIP } });
}

/** @throws Error where the object is not understood as it is meant */
function change(
  kind: SourceKind,
  metadata: { readonly namespace?: string; readonly name: string },
  rest: object,
): Change {
  const { facts, problems } = translate(kind, { kind, metadata, ...rest });
  const [first] = problems;
  if (first !== undefined) throw new Error(`${kind} ${metadata.name}: ${first.message}`);
  return { key: [kind, metadata.namespace, metadata.name].join('/'), facts };
}

export class CompiledNode {
  readonly #compiler = new Compiler();
  readonly #held = new Held();

  /** @param server address of the server's pod */
  constructor(server: string) {
    const self = change('Node', { name: node }, { spec: { podCIDRs: ['10.99.1.0/24'] } });
    this.#held.apply(this.#compiler.update([self, pod('server', server)]));
  }

  /** @throws Error where the compiler finds something wrong with the rules */
  put(rules: PortRules): void {
    this.#held.apply(this.#compiler.update([policy(rules)]));
    for (const [key, state] of this.#held.policies) {
      const [first] = state.ineffective;
      if (first !== undefined) throw new Error(`${key}: ${first.message}`);
    }
  }

  resources(): EnvoyResource[] {
    return [...this.#held.node(node).values()].flatMap(({ resource: one }) =>
      one?.$case === 'envoy' ? [one.value] : [],
    );
  }

  /** The listener that requests to a port of the server go through. */
  listenerOf(port: number): bigint {
    for (const { resource: one } of this.#held.node(node).values()) {
      const entries = one?.$case === 'policySet' ? one.value.entries : [];
      const found = entries.find(
        (entry) => entry.listener !== 0n && entry.port >> (16 - entry.portBits) === port >> (16 - entry.portBits),
      );
      if (found !== undefined) return found.listener;
    }
    throw new Error(`the compiler made no listener for port ${port}`);
  }
}

/** With the listener's port, as the agent serves it. */
export function served(one: EnvoyResource, portOf: (listener: bigint) => number): Resource {
  const { listener, typeUrl, name, value } = one;
  const bytes = listener === 0n ? value : Buffer.concat([value, listenerAddress(portOf(listener), false)]);
  return resource(typeUrl, name, bytes);
}

/** The same listener for a reverse proxy: dialled by its own address, its connections are Envoy's own. */
export function asReverseProxy(one: EnvoyResource): EnvoyResource {
  if (one.typeUrl !== LISTENER_TYPE) return one;
  const listener = Listener.decode(one.value);
  const plain = Listener.fromPartial({ ...listener, listenerFilters: [], transparent: false });
  return { ...one, value: Buffer.from(Listener.encode(plain).finish()) };
}

/** The same cluster for one server of known address. */
export function toServer(one: EnvoyResource, address: string, port: number): EnvoyResource {
  if (one.typeUrl !== CLUSTER_TYPE) return one;
  const { clusterDiscoveryType: _, lbPolicy: __, cleanupInterval: ___, ...cluster } = Cluster.decode(one.value);
  const socketAddress = { address, portSpecifier: { $case: 'portValue' as const, value: port } };
  const endpoint = { address: { address: { $case: 'socketAddress' as const, value: socketAddress } } };
  const plain = Cluster.fromPartial({
    ...cluster,
    clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.STATIC },
    lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
    loadAssignment: {
      clusterName: cluster.name,
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { $case: 'endpoint', value: endpoint } }] }],
    },
  });
  return { ...one, value: Buffer.from(Cluster.encode(plain).finish()) };
}

/** The same listener without access records. */
export function withoutRecords(one: EnvoyResource): EnvoyResource {
  if (one.typeUrl !== LISTENER_TYPE) return one;
  const listener = Listener.decode(one.value);
  for (const filter of listener.filterChains.flatMap((chain) => chain.filters)) {
    if (filter.configType?.$case !== 'typedConfig') continue;
    const config = filter.configType.value;
    if (!config.typeUrl.endsWith('.HttpConnectionManager')) continue;
    const manager = HttpConnectionManager.decode(config.value);
    config.value = Buffer.from(HttpConnectionManager.encode({ ...manager, accessLog: [] }).finish());
  }
  return { ...one, value: Buffer.from(Listener.encode(listener).finish()) };
}
