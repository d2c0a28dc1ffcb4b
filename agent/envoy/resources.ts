/** Envoy's resources as the operator sends them: checked, named, never decoded. */
import type { ResourceStore } from '../state/store.ts';
import { hex64 } from '../tables/hash.ts';
import { decodeResource, type Resource, ResourceError } from '../tables/resource.ts';

export type EnvoyResource = Extract<Resource, { $case: 'envoy' }>['value'];

const TYPE = 'type.googleapis.com/';

export const LISTENER_TYPE = `${TYPE}envoy.config.listener.v3.Listener`;
export const ROUTE_TYPE = `${TYPE}envoy.config.route.v3.RouteConfiguration`;
export const CLUSTER_TYPE = `${TYPE}envoy.config.cluster.v3.Cluster`;
export const ENDPOINTS_TYPE = `${TYPE}envoy.config.endpoint.v3.ClusterLoadAssignment`;
const SECRET_TYPE = `${TYPE}envoy.extensions.transport_sockets.tls.v3.Secret`;

/** Types by the kind in a resource's name. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['listener', LISTENER_TYPE],
  ['cluster', CLUSTER_TYPE],
  ['route', ROUTE_TYPE],
  ['endpoints', ENDPOINTS_TYPE],
  ['secret', SECRET_TYPE],
]);

export const PREFIX = 'envoy/';

/** Envoy's name of a listener that the kernel sends connections to, and of its RouteConfiguration. */
export const listenerName = (id: bigint): string => `l7/${hex64(id)}`;

/** The store's names of what an Envoy must have before it can serve a listener. */
export const namesOfListener = (id: bigint): readonly string[] => [
  `${PREFIX}listener/${listenerName(id)}`,
  `${PREFIX}route/${listenerName(id)}`,
];

/** The listener that a name of the store is about, its routes included; undefined: none that the kernel points at. */
export function listenerOfName(name: string): bigint | undefined {
  const digits = /^envoy\/(?:listener|route)\/l7\/([0-9a-f]{16})$/.exec(name)?.[1];
  return digits === undefined ? undefined : BigInt(`0x${digits}`);
}

/** @throws ResourceError where name, type and listener do not fit together: two resources would be taken for one */
export function checkEnvoyResource(name: string, { typeUrl, name: own, listener }: EnvoyResource): void {
  const kind = name.slice(PREFIX.length).split('/', 1)[0] ?? '';
  const type = TYPES.get(kind);
  if (type === undefined)
    throw new ResourceError(`${name} is of a kind of Envoy resource that this agent does not know`);
  if (type !== typeUrl) throw new ResourceError(`${name} holds a ${typeUrl.slice(0, 200)}, not a ${type}`);
  if (own === '' || name !== `${PREFIX}${kind}/${own}`)
    throw new ResourceError(`${name} is about ${own.slice(0, 200)}`);
  if (listener === 0n) return;
  if (type !== LISTENER_TYPE) throw new ResourceError(`${name} is no listener and has the id of one`);
  if (own !== listenerName(listener)) throw new ResourceError(`${name} has the id ${hex64(listener)}`);
}

/** Undefined: the store holds no such resource. */
export function envoyResource(name: string, bytes: Uint8Array | undefined): EnvoyResource | undefined {
  const resource = bytes && decodeResource(name, bytes);
  return resource?.$case === 'envoy' ? resource.value : undefined;
}

/** Envoy is to run exactly while the node holds a listener for it. */
export function wantsEnvoy(store: Pick<ResourceStore, 'names'>): boolean {
  return store.names(`${PREFIX}listener/`).length > 0;
}
