import type { PolicyRef } from '@weft/node-api';
import type { PolicyDirection } from '../facts.ts';

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
