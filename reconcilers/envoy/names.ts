import type { PolicyRef } from '@weft/node-api';
import type { PolicyDirection, RouteFact, RouteRule } from '../facts.ts';
import { hash64 } from '../hash.ts';
import type { Family } from '../services/ports.ts';

/** Who runs a node's Envoy. */
export const proxyPod = { namespace: 'weft-system', serviceAccount: 'weft-envoy' } as const;

/** Envoy's name of a listener and of its routes. */
export function listenerName(id: bigint): string {
  return `l7/${id.toString(16).padStart(16, '0')}`;
}

/** The cluster that passes requests on to where the client was going. */
export const ORIGIN = 'origin';

/** SO_MARK of connections to the server, for the datapath: what is already decided of them. */
export const marks = { egress: 1, ingress: 2 } as const satisfies Record<PolicyDirection, number>;

/** Names of the resources that a node holds. */
export const resourceNames = {
  listener: (id: bigint) => `envoy/listener/${listenerName(id)}`,
  route: (id: bigint) => `envoy/route/${listenerName(id)}`,
  cluster: `envoy/cluster/${ORIGIN}`,
} as const;

/** The rule that lets a request pass, as access records name it. */
export function routeName({ kind, namespace, name }: PolicyRef, direction: PolicyDirection, index: number): string {
  return `${[kind, namespace, name].filter((part) => part !== '').join('/')}#${direction}[${index}]`;
}

/** The route of requests that no rule allows. */
export const DENIED = 'denied';

/** Id of the listener that routes what clients send to the port of a Service (namespace/name). */
export function routeListener(service: string, port: number): bigint {
  return hash64(`route ${service}/${port}`);
}

/** The endpoints of one family behind the port of a Service (namespace/name). */
export function clusterName(service: string, port: number, family: Family): string {
  return `service/${service}/${port}${family === 'ipv6' ? '/ipv6' : ''}`;
}

/** The way to the endpoints of a cluster for requests that are mirrored. */
export function mirrorName(cluster: string): string {
  return `mirror/${cluster}`;
}

/** The rule of a route, as access records name it. */
export function routeRuleName({ routeKind, namespace, name }: RouteFact, rule: RouteRule): string {
  return `${routeKind}/${namespace}/${name}#${rule.name === '' ? rule.index : rule.name}`;
}

/** No cluster has this name: requests for it are answered 500. */
export const INVALID = 'invalid';

/** Tells the way to a mirror the client's address; nobody else may set it. */
export const CLIENT_HEADER = 'x-weft-client';
