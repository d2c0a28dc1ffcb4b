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
import { accessLog } from './access-log.ts';
import { http1, http2 } from './http-options.ts';
import { marks } from './names.ts';
import { pack, serialize } from './pack.ts';

const seconds = (count: number) => ({ seconds: BigInt(count), nanos: 0 });

/**
 * Where the kernel hands connections to. It has no address: the agent knows the port. The same for all rules, since
 * those are its routes.
 */
export function listener(name: string, direction: PolicyDirection): Buffer {
  return serialize(Listener, {
    name,
    trafficDirection: direction === 'ingress' ? TrafficDirection.INBOUND : TrafficDirection.OUTBOUND,
    // Its connections are to the server's address, which is none of this namespace.
    transparent: true,
    enableReusePort: false,
    tcpBacklogSize: 4096,
    listenerFilters: [
      filter(
        'envoy.filters.listener.original_dst',
        pack(OriginalDst, 'envoy.extensions.filters.listener.original_dst.v3.OriginalDst', {}),
      ),
      filter(
        'envoy.filters.listener.original_src',
        pack(OriginalSrc, 'envoy.extensions.filters.listener.original_src.v3.OriginalSrc', { mark: marks[direction] }),
      ),
    ],
    filterChains: [
      {
        filters: [
          filter(
            'envoy.filters.network.http_connection_manager',
            pack(
              HttpConnectionManager,
              'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              connectionManager(name),
            ),
          ),
        ],
      },
    ],
  });
}

function filter(name: string, value: ReturnType<typeof pack>) {
  return { name, configType: { $case: 'typedConfig' as const, value } };
}

/** Strict about what decides a request, and otherwise a pane of glass: the server sees what the client sent. */
function connectionManager(name: string): Parameters<typeof HttpConnectionManager.fromPartial>[0] {
  return {
    codecType: Codec.AUTO,
    statPrefix: 'l7',
    routeSpecifier: {
      $case: 'rds',
      value: {
        routeConfigName: name,
        configSource: {
          configSourceSpecifier: { $case: 'ads', value: {} },
          resourceApiVersion: ApiVersion.V3,
          // A listener is not ready before its routes are there, however long that takes.
          initialFetchTimeout: seconds(0),
        },
      },
    },
    httpFilters: [
      {
        name: 'envoy.filters.http.router',
        configType: {
          $case: 'typedConfig',
          value: pack(Router, 'envoy.extensions.filters.http.router.v3.Router', { suppressEnvoyHeaders: true }),
        },
      },
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
