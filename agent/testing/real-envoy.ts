/** The real Envoy on an agent's sockets, for tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const pipe = (path: string) => ({ endpoint: { address: { pipe: { path } } } });
const HTTP2 = { '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions' };

/** @param scratch a directory for its files */
export function startEnvoy(binary: string, scratch: string, envoyDir: string, uid: string): ChildProcess {
  const ads = { ads: {}, resource_api_version: 'V3' };
  const bootstrap = {
    node: { id: uid, cluster: 'weft' },
    admin: { address: { pipe: { path: join(scratch, 'admin.sock') } } },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [
          {
            envoy_grpc: {
              cluster_name: 'weft-agent',
              retry_policy: { retry_back_off: { base_interval: '0.1s', max_interval: '0.5s' } },
            },
          },
        ],
      },
      lds_config: ads,
      cds_config: ads,
    },
    static_resources: {
      clusters: [
        {
          name: 'weft-agent',
          type: 'STATIC',
          connect_timeout: '1s',
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              ...HTTP2,
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: {
            cluster_name: 'weft-agent',
            endpoints: [{ lb_endpoints: [pipe(join(envoyDir, 'xds.sock'))] }],
          },
        },
      ],
    },
  };
  const file = join(scratch, `${uid}.json`);
  writeFileSync(file, JSON.stringify(bootstrap));
  const args = [
    '-c',
    file,
    '--concurrency',
    '1',
    '--disable-hot-restart',
    '--log-level',
    'error',
    '--drain-time-s',
    '1',
  ];
  return spawn(binary, args, { stdio: ['ignore', 'ignore', 'ignore'] });
}

export async function killed(envoy: ChildProcess): Promise<void> {
  if (envoy.exitCode !== null || envoy.signalCode !== null) return;
  const ended = once(envoy, 'exit');
  envoy.kill('SIGKILL');
  await ended;
}

/** A field of a protobuf message: text, bytes or messages are length-delimited, numbers varints below 16384. */
export function field(number: number, ...content: (string | number | Uint8Array)[]): Buffer {
  const [first] = content;
  if (typeof first === 'number') return Buffer.concat([varint(number << 3), varint(first)]);
  const body = Buffer.concat(content.map((part) => (typeof part === 'number' ? varint(part) : Buffer.from(part))));
  return Buffer.concat([varint((number << 3) | 2), varint(body.length), body]);
}

function varint(value: number): Buffer {
  return value < 128 ? Buffer.of(value) : Buffer.of((value & 127) | 128, value >> 7);
}

const any = (type: string, value: Uint8Array) =>
  Buffer.concat([field(1, `type.googleapis.com/${type}`), field(2, value)]);
const FILTERS = 'envoy.extensions.filters';

/** envoy.config.listener.v3.Listener with an HTTP connection manager that asks for the routes of the same name. */
export function listenerMessage(
  name: string,
  manager = `${FILTERS}.network.http_connection_manager.v3.HttpConnectionManager`,
) {
  const overAds = Buffer.concat([field(3), field(6, 2)]);
  const router = any(`${FILTERS}.http.router.v3.Router`, new Uint8Array());
  const http = Buffer.concat([
    field(2, name),
    field(3, field(1, overAds), field(2, name)),
    field(5, field(1, 'envoy.filters.http.router'), field(4, router)),
  ]);
  const filter = Buffer.concat([
    field(1, 'envoy.filters.network.http_connection_manager'),
    field(4, any(manager, http)),
  ]);
  return Buffer.concat([field(1, name), field(3, field(3, filter))]);
}

/** envoy.config.route.v3.RouteConfiguration that answers everything with one text. */
export function routeMessage(name: string, text: string): Buffer {
  const answer = field(7, field(1, 200), field(2, field(3, text)));
  const route = field(3, field(1, field(1, '/')), answer);
  return Buffer.concat([field(1, name), field(2, field(1, 'all'), field(2, '*'), route)]);
}
