import type { NodeResource } from '@weft/node-api';
import type { PolicyDirection } from '../facts.ts';
import { originCluster } from './clusters.ts';
import { listener } from './listener.ts';
import { listenerName, ORIGIN } from './names.ts';
import { typeUrl } from './pack.ts';
import { type RoutedRule, routeConfiguration } from './routes.ts';

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

function envoy(type: string, name: string, value: Buffer, id = 0n): NodeResource {
  return { resource: { $case: 'envoy', value: { typeUrl: typeUrl(type), name, value, listener: id } } };
}
