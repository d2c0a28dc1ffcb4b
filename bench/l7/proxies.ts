/** What this suite compares: requests through the node's Envoy, a bare one, two sidecars, or nothing. */
import type { EnvoyResource } from '@weft/node-api';
import type { Pod } from '../datapath/topology.ts';
import { asReverseProxy, CompiledNode, type PortRules, served, toServer, withoutRecords } from './compiled.ts';
import type { BenchEnvoy } from './envoy.ts';
import type { Lab, Protocol } from './lab.ts';
import { type Leg, makeIdentity, sidecar } from './sidecars.ts';

/** HTTP, and gRPC on the next port; those of `quiet` are not recorded, those of `open` have no rule. */
export const ports = { http: 9000, quiet: 9010, open: 9020 } as const;
const firstListenerPort = 20_000;

/** As a small API has them; the load takes the last two. */
const smallApi: PortRules['http'] = [
  { method: 'GET', path: '/products/[0-9]+' },
  { method: 'POST', path: '/orders' },
  { method: 'GET', path: '/load' },
  { method: 'POST', path: '/grpc\\.health\\.v1\\.Health/.*' },
];

/** A way for requests. */
export interface Path {
  readonly from: Pod;
  to(protocol: Protocol): string;
  readonly pids: readonly number[];
}

function path(from: Pod, address: string, port: number, envoys: readonly BenchEnvoy[] = []): Path {
  return {
    from,
    to: (protocol) => `${address}:${protocol === 'grpc' ? port + 1 : port}`,
    pids: envoys.flatMap(({ pids }) => pids),
  };
}

/** The node's Envoy behind the kernel's redirect, with the compiler's listeners. */
export interface SharedProxy {
  readonly envoy: BenchEnvoy;
  readonly compiled: CompiledNode;
  readonly recorded: Path;
  readonly quiet: Path;
  readonly open: Path;
  /** Tells Envoy what the compiler has now. */
  update(): void;
}

export async function sharedProxy(lab: Lab, rules: PortRules['http'] = smallApi): Promise<SharedProxy> {
  const topology = await lab.topology('weft', 'weft', Object.values(ports));
  const { client, server } = topology;
  const compiled = new CompiledNode(server.address);
  for (const name of ['http', 'quiet'] as const) {
    compiled.put({ name, ports: [ports[name], ports[name] + 1], http: rules });
  }
  const listeners = [ports.http, ports.quiet].map((port) => compiled.listenerOf(port));
  const proxyPort = (listener: bigint) => firstListenerPort + listeners.indexOf(listener);
  const quiet = listeners[1];
  const envoy = await lab.envoy(topology.proxy);
  let told: readonly EnvoyResource[] = [];
  const update = () => {
    const resources = compiled.resources();
    const changed = resources.filter(
      (one) => !told.some(({ name, value }) => name === one.name && value === one.value),
    );
    told = resources;
    envoy.put(changed.map((one) => served(one.listener === quiet ? withoutRecords(one) : one, proxyPort)));
  };
  update();
  await envoy.settled();
  await lab.weft(topology, [
    ...[ports.http, ports.quiet].flatMap((port) =>
      [port, port + 1].map((one) => ({ port: one, proxyPort: proxyPort(compiled.listenerOf(port)) })),
    ),
    { port: ports.open },
    { port: ports.open + 1 },
  ]);
  const to = (port: number) => path(client, server.address, port, [envoy]);
  return { envoy, compiled, recorded: to(ports.http), quiet: to(ports.quiet), open: to(ports.open), update };
}

/** The same listener and routes without redirect: the client dials Envoy, which knows the server. */
export async function bareProxy(lab: Lab): Promise<Path> {
  const { client, server, proxy } = await lab.topology('bare', 'plain', [ports.http]);
  const compiled = new CompiledNode(server.address);
  compiled.put({ name: 'http', ports: [ports.http], http: smallApi });
  const envoy = await lab.envoy(proxy);
  const resources = compiled.resources().map(asReverseProxy);
  // One Envoy for each of the server's ports: it does not know where the client was going.
  const http = resources.map((one) => toServer(one, server.address, ports.http));
  envoy.put(http.map((one) => served(one, () => ports.http)));
  await envoy.settled();
  const grpc = await lab.envoy(proxy);
  grpc.put(resources.map((one) => served(toServer(one, server.address, ports.http + 1), () => ports.http + 1)));
  await grpc.settled();
  return path(client, proxy?.address ?? '', ports.http, [envoy, grpc]);
}

/** The client's Envoy, mutual TLS, the server's Envoy; and beside them the way without any. */
export async function sidecars(lab: Lab): Promise<{ readonly through: Path; readonly direct: Path }> {
  const { client, server } = await lab.topology('side', undefined, [ports.http]);
  const identity = makeIdentity(lab.scratch.directory);
  const legs = (listen: [string, number], to: [string, number]): Leg[] =>
    [0, 1].map((more) => ({
      listen: { address: listen[0], port: listen[1] + more },
      to: { address: to[0], port: to[1] + more },
    }));
  const outbound = legs(['127.0.0.1', 15_001], [server.address, 15_006]);
  const inbound = legs(['0.0.0.0', 15_006], ['127.0.0.1', ports.http]);
  const envoys = [
    await lab.envoy(client, sidecar('client', outbound, identity)),
    await lab.envoy(server, sidecar('server', inbound, identity)),
  ];
  return {
    through: path(client, '127.0.0.1', 15_001, envoys),
    direct: path(client, server.address, ports.http),
  };
}
