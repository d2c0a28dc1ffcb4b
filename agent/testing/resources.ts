/** Resources as the operator makes them, for tests. */
import { Verdict } from '@weft/node-api';
import { parseAddress, parsePrefix } from '../tables/address.ts';
import type { Resource } from '../tables/resource.ts';

const bytes = (address: string): Buffer => Buffer.from(parseAddress(address) ?? []);
const prefix = (text: string) => ({
  address: Buffer.from(parsePrefix(text)?.bytes ?? []),
  length: parsePrefix(text)?.length ?? 0,
});

export function node(name: string, addresses: string[], podCidrs: string[]): [string, Resource] {
  return [
    `node/${name}`,
    { $case: 'node', value: { name, addresses: addresses.map(bytes), podCidrs: podCidrs.map(prefix) } },
  ];
}

export function endpoint(
  uid: string,
  name: string,
  policySet: bigint,
  peerClass: bigint,
  proxy = false,
): [string, Resource] {
  const labels = { app: name };
  const value = {
    uid,
    namespace: 'shop',
    name,
    serviceAccount: 'default',
    labels,
    policySet,
    class: peerClass,
    proxy,
  };
  return [`endpoint/${uid}`, { $case: 'endpoint', value }];
}

export function address(text: string, peerClass: bigint, kind: 0 | 1 | 2 | 3): [string, Resource] {
  return [`address/${text}`, { $case: 'address', value: { prefix: prefix(text), class: peerClass, kind } }];
}

/** Allows TCP port 80 to peers of one class; denies all else to the pod. */
export function policySet(id: bigint, peerClass: bigint): [string, Resource] {
  const policy = { kind: 'CiliumNetworkPolicy', namespace: 'shop', name: 'api-from-frontend', generation: 1n };
  return [
    `policyset/${id.toString(16).padStart(16, '0')}`,
    {
      $case: 'policySet',
      value: {
        id,
        entries: [
          { direction: 0, class: peerClass, protocol: 6, port: 80, portBits: 16, verdict: 1, rule: 0, listener: 0n },
        ],
        rules: [{ policy, direction: 0, index: 0, deny: false, reason: '', http: [] }],
        ingressDefaultDeny: [policy],
        egressDefaultDeny: [],
        listeners: [],
      },
    },
  ];
}

/** Like `policySet`, and Envoy decides on each request. */
export function httpSet(id: bigint, peerClass: bigint, listener: bigint): [string, Resource] {
  const [name, resource] = policySet(id, peerClass);
  if (resource.$case !== 'policySet') throw new Error('unreachable');
  const entries = resource.value.entries.map((entry) => ({ ...entry, verdict: Verdict.VERDICT_PROXY, listener }));
  return [
    name,
    { $case: 'policySet', value: { ...resource.value, entries, listeners: [{ id: listener, rules: [0] }] } },
  ];
}

/** A resource for Envoy; `listener`: what the kernel sends to it. */
export function envoy(
  kind: 'listener' | 'route' | 'cluster' | 'endpoints',
  name: string,
  value: Uint8Array,
  listener = 0n,
): [string, Resource] {
  const types = {
    endpoints: 'envoy.config.endpoint.v3.ClusterLoadAssignment',
    listener: 'envoy.config.listener.v3.Listener',
    route: 'envoy.config.route.v3.RouteConfiguration',
    cluster: 'envoy.config.cluster.v3.Cluster',
  };
  const typeUrl = `type.googleapis.com/${types[kind]}`;
  return [`envoy/${kind}/${name}`, { $case: 'envoy', value: { typeUrl, name, value: Buffer.from(value), listener } }];
}

/** `listener`: of its routes. */
export function service(name: string, clusterIps: string[], backends: string[], listener = 0n): [string, Resource] {
  const port = {
    name: 'http',
    protocol: 6 as const,
    port: 80,
    nodePort: 0,
    listener,
    backends: backends.map((text) => ({ address: bytes(text), port: 8080, node: 'n1' })),
  };
  return [
    `service/shop/${name}`,
    {
      $case: 'service',
      value: {
        namespace: 'shop',
        name,
        clusterIps: clusterIps.map(bytes),
        externalIps: [],
        ports: [port],
        algorithm: 0,
        affinitySeconds: 0,
        internalLocal: false,
        externalLocal: false,
      },
    },
  ];
}
