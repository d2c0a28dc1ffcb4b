import type { NodeResource } from '@weft/node-api';
import type { PolicyDirection } from '../facts.ts';
import type { RouteEntry } from '../routes/order.ts';
import type { ServiceBackend } from '../services/backends.ts';
import { originCluster } from './clusters.ts';
import { listener, serviceListener } from './listener.ts';
import { mirrorCluster, mirrorListener } from './mirror.ts';
import { listenerName, mirrorName, ORIGIN } from './names.ts';
import { typeUrl } from './pack.ts';
import { type RoutedRule, routeConfiguration } from './routes.ts';
import { endpoints, serviceCluster } from './service-cluster.ts';
import { type Surroundings, serviceRoutes } from './service-routes.ts';

export function listenerResource(id: bigint, direction: PolicyDirection): NodeResource {
  const name = listenerName(id);
  return envoy('envoy.config.listener.v3.Listener', name, listener(name, direction), id);
}

export function routeResource(id: bigint, rules: readonly RoutedRule[]): NodeResource {
  const name = listenerName(id);
  return envoy('envoy.config.route.v3.RouteConfiguration', name, routeConfiguration(name, rules));
}

/** One object for all nodes. */
export const originResource: NodeResource = envoy('envoy.config.cluster.v3.Cluster', ORIGIN, originCluster());

/** `chains`: families of clients with the names of their routes. */
export function serviceListenerResource(id: bigint, chains: Parameters<typeof serviceListener>[1]): NodeResource {
  const name = listenerName(id);
  return envoy('envoy.config.listener.v3.Listener', name, serviceListener(name, chains), id);
}

export function serviceRoutesResource(
  name: string,
  entries: readonly RouteEntry[],
  around: Surroundings,
): NodeResource {
  return envoy('envoy.config.route.v3.RouteConfiguration', name, serviceRoutes(name, entries, around));
}

export function serviceClusterResource(name: string, protocol: 'http2' | 'same', byClient: boolean): NodeResource {
  return envoy('envoy.config.cluster.v3.Cluster', name, serviceCluster(name, protocol, byClient));
}

export function endpointsResource(name: string, backends: readonly ServiceBackend[]): NodeResource {
  return envoy('envoy.config.endpoint.v3.ClusterLoadAssignment', name, endpoints(name, backends));
}

/** Of the mirror whose cluster this is. */
export function mirrorResources(cluster: string): [name: string, resource: NodeResource][] {
  const name = mirrorName(cluster);
  return [
    [`envoy/cluster/${name}`, envoy('envoy.config.cluster.v3.Cluster', name, mirrorCluster(name))],
    [`envoy/listener/${name}`, envoy('envoy.config.listener.v3.Listener', name, mirrorListener(name, cluster))],
  ];
}

function envoy(type: string, name: string, value: Buffer, id = 0n): NodeResource {
  return { resource: { $case: 'envoy', value: { typeUrl: typeUrl(type), name, value, listener: id } } };
}
