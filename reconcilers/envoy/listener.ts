import { TrafficDirection } from '@envoyproxy/xds-protos/envoy/config/core/v3/base.ts';
import { ApiVersion } from '@envoyproxy/xds-protos/envoy/config/core/v3/config_source.ts';
import { HttpProtocolOptions_HeadersWithUnderscoresAction } from '@envoyproxy/xds-protos/envoy/config/core/v3/protocol.ts';
import { Listener } from '@envoyproxy/xds-protos/envoy/config/listener/v3/listener.ts';
import { Router } from '@envoyproxy/xds-protos/envoy/extensions/filters/http/router/v3/router.ts';
import { OriginalDst } from '@envoyproxy/xds-protos/envoy/extensions/filters/listener/original_dst/v3/original_dst.ts';
import { OriginalSrc } from '@envoyproxy/xds-protos/envoy/extensions/filters/listener/original_src/v3/original_src.ts';
import {
  HttpConnectionManager_ForwardClientCertDetails as ClientCert,
  HttpConnectionManager_CodecType as Codec,
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  HttpConnectionManager,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader,
} from '@envoyproxy/xds-protos/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import type { PolicyDirection } from '../facts.ts';
import type { Family } from '../services/ports.ts';
import { accessLog } from './access-log.ts';
import { http1, http2 } from './http-options.ts';
import { marks } from './names.ts';
import { filter, pack, serialize } from './pack.ts';
import { routeFilters } from './route-filters.ts';

const seconds = (count: number) => ({ seconds: BigInt(count), nanos: 0 });

/** What the kernel hands connections to. It has no address: the agent knows the port. */
interface Options {
  readonly name: string;
  readonly direction: TrafficDirection;
  /** SO_MARK of its connections to servers. */
  readonly mark: number;
  readonly listenerFilters: readonly ReturnType<typeof filter>[];
  /** By the address that the client dialled. */
  readonly chains: readonly { readonly family?: Family; readonly routes: string }[];
  readonly httpFilters: readonly HttpFilter[];
  /** How many addresses of X-Forwarded-For come before the one that is taken for the client's. */
  readonly trustedHops: number;
}

type Manager = Parameters<typeof HttpConnectionManager.fromPartial>[0];

type HttpFilter = ReturnType<typeof filter> & { readonly disabled?: boolean };

/** Judges requests, and passes them on to where they were going. The same for all rules, since those are its routes. */
export function listener(name: string, direction: PolicyDirection): Buffer {
  return build({
    name,
    direction: direction === 'ingress' ? TrafficDirection.INBOUND : TrafficDirection.OUTBOUND,
    mark: marks[direction],
    listenerFilters: [
      filter(
        'envoy.filters.listener.original_dst',
        pack(OriginalDst, 'envoy.extensions.filters.listener.original_dst.v3.OriginalDst', {}),
      ),
    ],
    chains: [{ routes: name }],
    httpFilters: [],
    trustedHops: 0,
  });
}

/** Chooses a backend for each request to a Service. Per family: a client's address can only reach its own kind. */
export function serviceListener(name: string, chains: Options['chains']): Buffer {
  return build({
    name,
    direction: TrafficDirection.OUTBOUND,
    mark: marks.egress,
    listenerFilters: [],
    chains,
    httpFilters: routeFilters,
    // The other end of the connection is the client, whatever it writes.
    trustedHops: 0xffff_ffff,
  });
}

function build({ name, direction, mark, listenerFilters, chains, ...manager }: Options): Buffer {
  return serialize(Listener, {
    name,
    trafficDirection: direction,
    // Its connections are to the server's address, which is none of this namespace.
    transparent: true,
    enableReusePort: false,
    tcpBacklogSize: 4096,
    listenerFilters: [
      ...listenerFilters,
      filter(
        'envoy.filters.listener.original_src',
        pack(OriginalSrc, 'envoy.extensions.filters.listener.original_src.v3.OriginalSrc', { mark }),
      ),
    ],
    filterChains: chains.map(({ family, routes }) => ({
      ...(family === undefined ? {} : { name: family, filterChainMatch: { prefixRanges: [anyAddress[family]] } }),
      filters: [managerFilter(connectionManager({ name, routes, ...manager }))],
    })),
  });
}

export function managerFilter(manager: Manager) {
  const type = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
  return filter('envoy.filters.network.http_connection_manager', pack(HttpConnectionManager, type, manager));
}

const anyAddress = {
  ipv4: { addressPrefix: '0.0.0.0', prefixLen: 0 },
  ipv6: { addressPrefix: '::', prefixLen: 0 },
} satisfies Record<Family, object>;

/** Strict about what decides a request, and otherwise a pane of glass: the server sees what the client sent. */
export function connectionManager({
  name,
  routes,
  httpFilters,
  trustedHops: xffNumTrustedHops,
}: Pick<Options, 'name' | 'httpFilters' | 'trustedHops'> & { readonly routes: string }): Manager {
  return {
    codecType: Codec.AUTO,
    statPrefix: 'l7',
    routeSpecifier: {
      $case: 'rds',
      value: {
        routeConfigName: routes,
        configSource: {
          configSourceSpecifier: { $case: 'ads', value: {} },
          resourceApiVersion: ApiVersion.V3,
          // A listener is not ready before its routes are there, however long that takes.
          initialFetchTimeout: seconds(0),
        },
      },
    },
    httpFilters: [
      ...httpFilters,
      filter(
        'envoy.filters.http.router',
        pack(Router, 'envoy.extensions.filters.http.router.v3.Router', { suppressEnvoyHeaders: true }),
      ),
    ],
    // One form of a path decides, and is what the server gets. %2F and %5C are refused (400): some servers take them
    // for slashes and some for part of a name, so that neither of the two forms is safe to judge by.
    normalizePath: true,
    mergeSlashes: true,
    pathWithEscapedSlashesAction: EscapedSlashes.REJECT_REQUEST,
    commonHttpProtocolOptions: {
      headersWithUnderscoresAction: HttpProtocolOptions_HeadersWithUnderscoresAction.ALLOW,
    },
    httpProtocolOptions: http1,
    http2ProtocolOptions: http2,
    // Slow headers end a connection; streams last as long as both ends want.
    requestHeadersTimeout: seconds(10),
    streamIdleTimeout: seconds(0),
    delayedCloseTimeout: seconds(1),
    // After it said that it closes a connection.
    drainTimeout: seconds(1),
    useRemoteAddress: false,
    xffNumTrustedHops,
    skipXffAppend: true,
    internalAddressConfig: { unixSockets: false, cidrRanges: [] },
    generateRequestId: false,
    preserveExternalRequestId: true,
    forwardClientCertDetails: ClientCert.ALWAYS_FORWARD_ONLY,
    serverHeaderTransformation: ServerHeader.PASS_THROUGH,
    proxy100Continue: true,
    upgradeConfigs: [{ upgradeType: 'websocket' }],
    accessLog: [accessLog(name)],
  };
}
