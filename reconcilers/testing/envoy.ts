/** A real Envoy that is told what nodes are told, and a server behind it, all on 127.0.0.1. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp, type IncomingMessage, request as requestHttp } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2, type OutgoingHttpHeaders } from 'node:http2';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import {
  Cluster,
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_LbPolicy as LbPolicy,
} from '@envoyproxy/xds-protos/envoy/config/cluster/v3/cluster.ts';
import { Listener } from '@envoyproxy/xds-protos/envoy/config/listener/v3/listener.ts';
import type { EnvoyResource, NodeResource } from '@weft/node-api';
import { ResourceCache, resource } from '@weft/xds';
import { type RunningServer, serve } from '../../packages/xds/src/testing/loopback.ts';
import { envoyFiles } from '../../test/local/envoy/binary.ts';
import { envoyRuntime, internalListeners } from '../envoy/runtime.ts';

const PREFIX = 'type.googleapis.com/envoy.config.';
const CDS = `${PREFIX}cluster.v3.Cluster`;
const EDS = `${PREFIX}endpoint.v3.ClusterLoadAssignment`;
const LDS = `${PREFIX}listener.v3.Listener`;

export interface RunningEnvoy extends AsyncDisposable {
  /** Tells it all that it should hold, and waits for its answers. `origin`: port of the server. @returns ports by listener id */
  hold(resources: Iterable<NodeResource>, origin?: number): Promise<Map<bigint, number>>;
  /** What it refused, and why. */
  rejected(): string[];
  /** Lines of its access log so far. */
  readonly records: string[];
  /** What its admin interface answers to GET, as JSON. */
  ask(path: string): Promise<unknown>;
}

export async function startEnvoy(): Promise<RunningEnvoy> {
  const { program } = await envoyFiles();
  const folder = mkdtempSync(join(tmpdir(), 'weft-envoy-'));
  const cache = new ResourceCache();
  cache.commit({ views: new Map([['node', {}]]) });
  const ads = await serve(cache, {
    typeOrder: [CDS, EDS, LDS, `${PREFIX}route.v3.RouteConfiguration`],
    resendWith: ({ typeUrl, name }) => (typeUrl === CDS ? [{ typeUrl: EDS, name }] : []),
    limits: { maxPartBytes: 1 },
  });
  const config = join(folder, 'envoy.json');
  writeFileSync(config, JSON.stringify(bootstrap(ads.target.replace('unix:', ''), join(folder, 'admin.sock'))));
  const child = spawn(
    program,
    [
      '--config-path',
      config,
      '--disable-hot-restart',
      '--concurrency',
      '1',
      '--log-level',
      'warning',
      '--file-flush-interval-msec',
      '20',
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const records: string[] = [];
  const log: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => records.push(line));
  createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
  const ports = new Map<bigint, number>();
  const held = new Map<string, EnvoyResource>();
  return {
    records,
    rejected: () => refusals(ads),
    ask: (path) => getJson(join(folder, 'admin.sock'), path),
    hold: async (resources, origin = 0) => {
      const wanted = new Map(
        [...resources].flatMap(({ resource: r }) =>
          r?.$case === 'envoy' ? [[`${r.value.typeUrl} ${r.value.name}`, r.value] as [string, EnvoyResource]] : [],
        ),
      );
      for (const { listener } of wanted.values()) {
        if (listener !== 0n && !ports.has(listener)) ports.set(listener, await freePort());
      }
      const upserts = [...wanted.values()].map((one) => resource(one.typeUrl, one.name, local(one, ports, origin)));
      const gone = [...held].filter(([key]) => !wanted.has(key)).map(([, { typeUrl, name }]) => ({ typeUrl, name }));
      held.clear();
      for (const [key, one] of wanted) held.set(key, one);
      cache.commit({ views: new Map([['node', { upserts, deletes: gone }]]) });
      await settled(ads, child, log);
      return ports;
    },
    [Symbol.asyncDispose]: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null) {
        child.kill('SIGKILL');
        await ended;
      }
      await ads[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** As the agent appends the address; and the cluster of what is passed on leads to `origin`, since nothing is redirected here. */
function local(
  { typeUrl, value, listener }: EnvoyResource,
  ports: ReadonlyMap<bigint, number>,
  origin: number,
): Buffer {
  const address = (port: number) => ({
    address: {
      $case: 'socketAddress' as const,
      value: { address: '127.0.0.1', portSpecifier: { $case: 'portValue' as const, value: port } },
    },
  });
  if (listener !== 0n) {
    const appended = Listener.encode(Listener.fromPartial({ address: address(ports.get(listener) ?? 0) })).finish();
    return Buffer.concat([value, appended]);
  }
  if (typeUrl !== CDS || origin === 0) return value;
  const cluster = Cluster.decode(value);
  const type = cluster.clusterDiscoveryType;
  if (type?.$case !== 'type' || type.value !== DiscoveryType.ORIGINAL_DST) return value;
  return Buffer.from(
    Cluster.encode({
      ...cluster,
      clusterDiscoveryType: { $case: 'type', value: DiscoveryType.STATIC },
      lbPolicy: LbPolicy.ROUND_ROBIN,
      loadAssignment: Cluster.fromPartial({
        loadAssignment: {
          clusterName: cluster.name,
          endpoints: [
            { lbEndpoints: [{ hostIdentifier: { $case: 'endpoint', value: { address: address(origin) } } }] },
          ],
        },
      }).loadAssignment,
    }).finish(),
  );
}

function getJson(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const request = requestHttp({ socketPath, path }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part) => {
        text += part;
      });
      response.on('end', () => resolve(JSON.parse(text)));
    });
    request.on('error', reject).end();
  });
}

function bootstrap(socket: string, admin: string): object {
  const source = { ads: {}, resource_api_version: 'V3' };
  const options = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  return {
    node: { id: 'node', cluster: 'weft' },
    bootstrap_extensions: [internalListeners],
    admin: { address: { pipe: { path: admin } } },
    layered_runtime: { layers: [{ name: 'weft', static_layer: envoyRuntime }] },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'agent' } }],
      },
      cds_config: source,
      lds_config: source,
    },
    static_resources: {
      clusters: [
        {
          name: 'agent',
          type: 'STATIC',
          typed_extension_protocol_options: {
            [options]: {
              '@type': `type.googleapis.com/${options}`,
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: {
            cluster_name: 'agent',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: socket } } } }] }],
          },
        },
      ],
    },
  };
}

function refusals({ ads }: RunningServer): string[] {
  return ads
    .streams()
    .flatMap(({ types }) => types.flatMap(({ rejected }) => [...rejected].map(([name, why]) => `${name}: ${why}`)));
}

async function settled({ ads }: RunningServer, child: ChildProcess, log: readonly string[]): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (let quiet = 0; quiet < 3; ) {
    if (child.exitCode !== null) throw new Error(`Envoy ended with ${child.exitCode}: ${log.slice(-5).join('\n')}`);
    if (Date.now() > deadline)
      throw new Error(`Envoy does not answer: ${JSON.stringify(ads.streams())} ${log.join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const types = ads.streams().flatMap((stream) => stream.types);
    quiet = types.length >= 2 && types.every(({ unanswered }) => unanswered === 0) ? quiet + 1 : 0;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listenLocally(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listenLocally(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** What the server behind Envoy was asked. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  /** As written. */
  readonly headers: readonly string[];
  /** Address of the other end. */
  readonly from: string;
}

/**
 * Answers 200 (503 to paths with `broken`, and the first time to those with `flaky`; after 2 s to those with `slow`) and
 * remembers; `Upgrade: websocket` gets 101 and an echo.
 */
export async function startOrigin(): Promise<{ readonly port: number; readonly seen: Seen[] } & AsyncDisposable> {
  const seen: Seen[] = [];
  const server = createHttp((request, response) => {
    const url = request.url ?? '';
    const failing = url.includes('broken') || (url.includes('flaky') && seen.every((one) => one.url !== url));
    seen.push(seenOf(request));
    const answer = () => response.writeHead(failing ? 503 : 200, { 'x-server': 'origin' }).end('hello');
    if (url.includes('slow')) setTimeout(answer, 2000).unref();
    else answer();
  });
  server.on('upgrade', (request, socket) => {
    seen.push(seenOf(request));
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.pipe(socket);
  });
  const port = await listenLocally(server);
  return {
    port,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function seenOf({ method = '', url = '', rawHeaders, socket }: IncomingMessage): Seen {
  return { method, url, headers: rawHeaders, from: socket.remoteAddress ?? '' };
}

/** The same for HTTP/2 without TLS, at most 100 requests at a time on one connection, each of which takes a moment. */
export async function startOrigin2(): Promise<{ readonly port: number } & AsyncDisposable> {
  const server = createHttp2({ settings: { maxConcurrentStreams: 100 } }, (_request, response) => {
    setTimeout(() => response.end('hello'), 20);
  });
  const port = await listenLocally(server);
  return { port, [Symbol.asyncDispose]: async () => void server.close() };
}

/** Sends exactly these bytes. @returns what comes back until the other side is quiet or ends it */
export function send(port: number, bytes: string, quietMs = 300, localAddress = '127.0.0.1'): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress });
    let answer = '';
    const done = () => {
      socket.destroy();
      resolve(answer);
    };
    let timer = setTimeout(done, 5_000);
    socket.on('error', reject);
    socket.on('end', done);
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      clearTimeout(timer);
      timer = setTimeout(done, quietMs);
    });
    socket.write(bytes, 'latin1');
  });
}

/** One connection for several requests. */
export async function dial(port: number): Promise<{ ask(request: string): Promise<string> } & AsyncDisposable> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return {
    ask: async (request) => {
      socket.write(`${request} HTTP/1.1\r\nHost: x\r\n\r\n`);
      const [answer]: unknown[] = await once(socket, 'data');
      return String(answer).split(' ')[1] ?? '';
    },
    [Symbol.asyncDispose]: async () => void socket.destroy(),
  };
}

/** The same with HTTP/2, without TLS. */
export async function dial2(
  port: number,
): Promise<{ ask(headers: OutgoingHttpHeaders): Promise<number> } & AsyncDisposable> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  await once(session, 'connect');
  return {
    ask: async (headers) => {
      const stream = session.request(headers).resume();
      const answer: { ':status'?: number } | undefined = (await once(stream, 'response'))[0];
      return answer?.[':status'] ?? 0;
    },
    [Symbol.asyncDispose]: async () => void session.destroy(),
  };
}
