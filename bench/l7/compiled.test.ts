import { Cluster } from '@envoyproxy/xds-protos/envoy/config/cluster/v3/cluster.ts';
import { Listener } from '@envoyproxy/xds-protos/envoy/config/listener/v3/listener.ts';
import { RouteConfiguration } from '@envoyproxy/xds-protos/envoy/config/route/v3/route.ts';
import { HttpConnectionManager } from '@envoyproxy/xds-protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import { expect, test } from '@jest/globals';
import type { EnvoyResource } from '@weft/node-api';
import { CLUSTER_TYPE, LISTENER_TYPE, ROUTE_TYPE } from '../../agent/envoy/resources.ts';
import { asReverseProxy, CompiledNode, served, toServer, withoutRecords } from './compiled.ts';

function compiled(count = 3): CompiledNode {
  const node = new CompiledNode('10.99.1.3');
  const http = Array.from({ length: count }, (_, index) => ({ method: 'GET', path: `/${index}` }));
  node.put({ name: 'http', ports: [80, 81], http });
  return node;
}

function one(node: CompiledNode, type: string): EnvoyResource {
  const found = node.resources().find(({ typeUrl }) => typeUrl === type);
  if (found === undefined) throw new Error(`no ${type}`);
  return found;
}

function records({ value }: EnvoyResource): number {
  const [filter] = Listener.decode(value).filterChains.flatMap(({ filters }) => filters);
  if (filter?.configType?.$case !== 'typedConfig') throw new Error('no connection manager');
  return HttpConnectionManager.decode(filter.configType.value.value).accessLog.length;
}

test('ports of one policy share a listener, which may have more routes than one rule takes', () => {
  const node = compiled(1000);
  expect(node.listenerOf(80)).toBe(node.listenerOf(81));
  const [host] = RouteConfiguration.decode(one(node, ROUTE_TYPE).value).virtualHosts;
  const allowing = host?.routes.filter(({ name }) => name.startsWith('CiliumNetworkPolicy/bench/http#'));
  expect(allowing).toHaveLength(1000);
  expect(() => node.listenerOf(82)).toThrow('no listener for port 82');
});

test('what is not understood is not measured', () => {
  const node = compiled();
  expect(() => node.put({ name: 'other', ports: [90], http: [{ path: '(' }] })).toThrow(/other/);
});

test("the baselines differ from the compiler's listener in what they are named for only", () => {
  const node = compiled();
  const listener = one(node, LISTENER_TYPE);
  const before = Listener.decode(listener.value);
  const plain = Listener.decode(asReverseProxy(listener).value);
  expect({ ...plain, listenerFilters: before.listenerFilters, transparent: before.transparent }).toEqual(before);
  expect(plain.listenerFilters).toEqual([]);
  expect([records(listener), records(withoutRecords(listener))]).toEqual([1, 0]);
  const cluster = Cluster.decode(toServer(one(node, CLUSTER_TYPE), '10.0.0.1', 80).value);
  expect(cluster.typedExtensionProtocolOptions).toEqual(
    Cluster.decode(one(node, CLUSTER_TYPE).value).typedExtensionProtocolOptions,
  );
  const { address } = Listener.decode(Buffer.from(served(listener, () => 20_000).bytes));
  expect(JSON.stringify(address)).toContain('20000');
});
