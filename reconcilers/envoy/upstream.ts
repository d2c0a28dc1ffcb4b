/** What Envoy's connections to servers have in common. */
import { SocketOption_SocketState } from '@envoyproxy/xds-protos/envoy/config/core/v3/socket_option.ts';
import { HttpProtocolOptions } from '@envoyproxy/xds-protos/envoy/extensions/upstreams/http/v3/http_protocol_options.ts';
import { http1, http2 } from './http-options.ts';
import { pack } from './pack.ts';

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const MOST = 0xffff_ffff;

/** Thresholds of Envoy's circuit breakers: nobody but the two ends decides how much is much. */
export const UNLIMITED = { maxConnections: MOST, maxPendingRequests: MOST, maxRequests: MOST } as const;

/**
 * A server says how many requests it takes at a time only after the first ones are on their way, and refuses those beyond:
 * 503. 100 is the least that servers should take (RFC 9113, 6.5.2).
 */
const upstreamHttp2 = { ...http2, maxConcurrentStreams: 100 };

/** `same`: the client's protocol. */
export function upstreamOptions(protocol: 'http2' | 'same') {
  const options = pack(HttpProtocolOptions, HTTP_OPTIONS, {
    // Connections are kept per client address, and not for long: servers end idle ones too, never mind that a request
    // is on its way, and another pod may get the address.
    commonHttpProtocolOptions: { idleTimeout: { seconds: 1n, nanos: 0 } },
    upstreamProtocolOptions:
      protocol === 'same'
        ? {
            $case: 'useDownstreamProtocolConfig',
            value: { httpProtocolOptions: http1, http2ProtocolOptions: upstreamHttp2 },
          }
        : {
            $case: 'explicitHttpConfig',
            value: { protocolConfig: { $case: 'http2ProtocolOptions', value: upstreamHttp2 } },
          },
  });
  return { [HTTP_OPTIONS]: options };
}

export const upstreamBind = {
  socketOptions: [
    {
      // The port is chosen at connect, so that one port serves many destinations.
      description: 'IP_BIND_ADDRESS_NO_PORT',
      level: 0n,
      name: 24n,
      value: { $case: 'intValue' as const, value: 1n },
      state: SocketOption_SocketState.STATE_PREBIND,
    },
  ],
};
