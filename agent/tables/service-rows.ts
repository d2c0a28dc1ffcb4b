import { Algorithm, type Backend, Protocol, type Service, type ServicePort } from '@weft/node-api';
import type { BackendSetRow, ServiceRow } from 'bpf-loader-napi';
import { addressText, type Family, familyOf } from './address.ts';
import { hash64 } from './hash.ts';
import type { PortOf } from './policy-rows.ts';
import { ResourceError } from './resource.ts';

export interface ServiceRows {
  readonly frontends: readonly ServiceRow[];
  /** Each once. */
  readonly backends: readonly BackendSetRow[];
}

/** Sizes of Maglev tables: primes, each at least 100 times the backends that it is used for (Maglev paper, 3.4). */
const MAGLEV_SIZES = [251, 1021, 4093, 16381, 65521, 131071] as const;

export function maglevSize(backends: number): number {
  return MAGLEV_SIZES.find((size) => size >= backends * 100) ?? 131071;
}

/** Id of a Service in frontends and flows. */
export const serviceId = (namespace: string, name: string): bigint => hash64(`service ${namespace}/${name}`);

/**
 * Frontends of a Service and the backend sets that they point to, as one node holds them.
 *
 * Cluster IPs and node ports from inside: scope internal. What the underlay may use, load-balancer addresses and
 * node ports, also in scope external. internalTrafficPolicy is about cluster IPs alone (KEP-2086), externalTrafficPolicy
 * about what comes from outside.
 *
 * @param node whose local backends count for the traffic policy Local
 * What pods send to a cluster IP goes to Envoy where the port has routes; node ports and addresses for the world do not.
 *
 * @throws ResourceError where an address or port is out of range
 */
export function serviceRows(name: string, service: Service, node: string, portOf: PortOf): ServiceRows {
  const frontends: ServiceRow[] = [];
  const sets = new Map<bigint, BackendSetRow>();
  const clusterIps = service.clusterIps.map((bytes) => checkedAddress(name, bytes));
  const externalIps = service.externalIps.map((bytes) => checkedAddress(name, bytes));
  const families = [...new Set(clusterIps.map(({ family }) => family))];

  for (const port of service.ports) {
    checkPort(name, port.port);
    const add = (
      address: string,
      family: Family,
      number: number,
      scope: ServiceRow['scope'],
      local: boolean,
      proxy: Pick<ServiceRow, 'proxyPort'> = {},
    ) => {
      const set = backendSet(name, service, port, family, local ? node : undefined);
      if (set) sets.set(set.set, set);
      frontends.push({ ...frontend(service, port, set, { address, family, port: number, scope }), ...proxy });
    };
    const proxy = routedBy(name, port, portOf);
    for (const { text, family } of clusterIps) add(text, family, port.port, 'internal', service.internalLocal, proxy);
    for (const { text, family } of externalIps) {
      add(text, family, port.port, 'internal', false);
      add(text, family, port.port, 'external', service.externalLocal);
    }
    if (port.nodePort === 0) continue;
    checkPort(name, port.nodePort);
    for (const family of families) {
      add('', family, port.nodePort, 'internal', false);
      add('', family, port.nodePort, 'external', service.externalLocal);
    }
  }
  return { frontends, backends: [...sets.values()] };
}

/** The listeners to which pods' connections to the Service go. */
export function routeListenersOf({ ports }: Pick<Service, 'ports'>): bigint[] {
  return ports.flatMap(({ listener }) => (listener === 0n ? [] : [listener]));
}

function routedBy(
  name: string,
  { protocol, listener, port }: ServicePort,
  portOf: PortOf,
): Pick<ServiceRow, 'proxyPort'> {
  if (listener === 0n) return {};
  if (protocol !== Protocol.PROTOCOL_TCP)
    throw new ResourceError(`${name} has routes on port ${port}, which is not TCP`);
  const proxyPort = portOf(listener);
  if (proxyPort === undefined) throw new ResourceError(`${name} has routes, and this node has no port left for them`);
  return { proxyPort };
}

function frontend(
  service: Service,
  { protocol }: ServicePort,
  set: BackendSetRow | undefined,
  at: Pick<ServiceRow, 'address' | 'family' | 'port' | 'scope'>,
): ServiceRow {
  return {
    table: 'services',
    ...at,
    protocol,
    backends: set?.set ?? 0n,
    service: serviceId(service.namespace, service.name),
    count: set?.backends.length ?? 0,
    nodePort: at.address === '',
    affinitySeconds: service.affinitySeconds,
    maglevSize: set?.maglevSize ?? 0,
  };
}

/** The backends of one family as a set named by its content; undefined where there are none. */
function backendSet(
  name: string,
  { algorithm }: Service,
  port: ServicePort,
  family: Family,
  node: string | undefined,
): BackendSetRow | undefined {
  const members = port.backends.filter(
    (backend) => familyOf(backend.address) === family && (node === undefined || backend.node === node),
  );
  if (members.length === 0) return undefined;
  const backends = members
    .map((backend) => ({ address: addressText(backend.address), port: checkedBackendPort(name, backend) }))
    .sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : a.port - b.port));
  const size = algorithm === Algorithm.ALGORITHM_MAGLEV ? maglevSize(backends.length) : 0;
  const content = backends.map((backend) => `${backend.address} ${backend.port}`).join(',');
  return { table: 'backends', set: hash64(`backends ${size} ${content}`), backends, maglevSize: size };
}

function checkedAddress(name: string, bytes: Uint8Array): { text: string; family: Family } {
  const family = familyOf(bytes);
  if (family === undefined) throw new ResourceError(`${name} has an address of ${bytes.length} bytes`);
  return { text: addressText(bytes), family };
}

function checkedBackendPort(name: string, { port }: Backend): number {
  checkPort(name, port);
  return port;
}

function checkPort(name: string, port: number): void {
  if (port < 1 || port > 0xffff) throw new ResourceError(`${name} has the port ${port}, which is none`);
}
