/** Two Envoys as a mesh with sidecars has them: the client's dials the server's with mutual TLS. Neither logs requests
 * nor judges them, and nothing redirects to them: less than such a mesh does. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Leg {
  /** Port that the sidecar listens on. */
  readonly listen: { readonly address: string; readonly port: number };
  readonly to: { readonly address: string; readonly port: number };
}

interface Identity {
  readonly certificate: string;
  readonly key: string;
}

/** One certificate for both ends, signed by itself. */
export function makeIdentity(directory: string): Identity {
  const [certificate, key] = [join(directory, 'sidecar.crt'), join(directory, 'sidecar.key')];
  const { status, stderr } = spawnSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', '/CN=sidecar', '-addext', 'subjectAltName=DNS:sidecar', '-keyout', key, '-out', certificate],
    ],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`no certificate for the sidecars: ${stderr}`);
  return { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') };
}

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3';

function tls(side: 'Downstream' | 'Upstream', { certificate, key }: Identity): object {
  const config = {
    '@type': `${TLS}.${side}TlsContext`,
    common_tls_context: {
      tls_certificates: [{ certificate_chain: { inline_string: certificate }, private_key: { inline_string: key } }],
      validation_context: { trusted_ca: { inline_string: certificate } },
      alpn_protocols: side === 'Downstream' ? ['h2', 'http/1.1'] : [],
    },
    ...(side === 'Downstream' ? { require_client_certificate: true } : {}),
  };
  return { name: 'envoy.transport_sockets.tls', typed_config: config };
}

const socket = ({ address, port }: Leg['to']) => ({ socket_address: { address, port_value: port } });
const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const HTTP = 'type.googleapis.com/envoy.extensions.filters';
const unlimited = 0xffff_ffff;

/** @param end the client's encrypts what it sends, the server's decrypts what it gets */
export function sidecar(end: 'client' | 'server', legs: readonly Leg[], identity: Identity) {
  const listeners = legs.map(({ listen }, index) => ({
    name: `leg-${index}`,
    address: socket(listen),
    filter_chains: [
      {
        ...(end === 'server' ? { transport_socket: tls('Downstream', identity) } : {}),
        filters: [{ name: 'http', typed_config: connectionManager(`leg-${index}`) }],
      },
    ],
  }));
  const clusters = legs.map(({ to }, index) => ({
    name: `leg-${index}`,
    type: 'STATIC',
    connect_timeout: '5s',
    ...(end === 'client' ? { transport_socket: tls('Upstream', identity) } : {}),
    circuit_breakers: {
      thresholds: [{ max_connections: unlimited, max_pending_requests: unlimited, max_requests: unlimited }],
    },
    typed_extension_protocol_options: {
      [OPTIONS]: {
        '@type': `type.googleapis.com/${OPTIONS}`,
        use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: `leg-${index}`,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(to) } }] }],
    },
  }));
  return { listeners, clusters };
}

function connectionManager(cluster: string): object {
  return {
    '@type': `${HTTP}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: cluster,
    http_filters: [{ name: 'router', typed_config: { '@type': `${HTTP}.http.router.v3.Router` } }],
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [{ match: { prefix: '/' }, route: { cluster, timeout: '0s' } }],
        },
      ],
    },
  };
}
