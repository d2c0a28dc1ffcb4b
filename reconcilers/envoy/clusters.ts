import {
  Cluster,
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_LbPolicy as LbPolicy,
} from '@envoyproxy/xds-protos/envoy/config/cluster/v3/cluster.ts';
import { SocketOption_SocketState } from '@envoyproxy/xds-protos/envoy/config/core/v3/socket_option.ts';
import { HttpProtocolOptions } from '@envoyproxy/xds-protos/envoy/extensions/upstreams/http/v3/http_protocol_options.ts';
import { http1, http2 } from './http-options.ts';
import { ORIGIN } from './names.ts';
import { pack, serialize } from './pack.ts';

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** Envoy's circuit breakers are for clusters that it balances: here nobody but the two ends decides how much is much. */
const UNLIMITED = 0xffff_ffff;

/** Where the client was going, in the client's protocol. Connections are shared by those of one client's address only. */
export function originCluster(): Buffer {
  return serialize(Cluster, {
    name: ORIGIN,
    clusterDiscoveryType: { $case: 'type', value: DiscoveryType.ORIGINAL_DST },
    lbPolicy: LbPolicy.CLUSTER_PROVIDED,
    connectTimeout: { seconds: 5n, nanos: 0 },
    cleanupInterval: { seconds: 60n, nanos: 0 },
    circuitBreakers: {
      thresholds: [
        {
          maxConnections: UNLIMITED,
          maxPendingRequests: UNLIMITED,
          maxRequests: UNLIMITED,
          maxRetries: 0,
        },
      ],
    },
    typedExtensionProtocolOptions: {
      [HTTP_OPTIONS]: pack(HttpProtocolOptions, HTTP_OPTIONS, {
        // Connections are kept per client address, and not for long: servers end idle ones too, never mind that a request
        // is on its way, and another pod may get the address.
        commonHttpProtocolOptions: { idleTimeout: { seconds: 1n, nanos: 0 } },
        upstreamProtocolOptions: {
          $case: 'useDownstreamProtocolConfig',
          value: { httpProtocolOptions: http1, http2ProtocolOptions: http2 },
        },
      }),
    },
    upstreamBindConfig: {
      socketOptions: [
        {
          // The port is chosen at connect, so that one port serves many destinations.
          description: 'IP_BIND_ADDRESS_NO_PORT',
          level: 0n,
          name: 24n,
          value: { $case: 'intValue', value: 1n },
          state: SocketOption_SocketState.STATE_PREBIND,
        },
      ],
    },
  });
}
