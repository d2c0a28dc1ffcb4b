import { StdoutAccessLog } from '@envoyproxy/xds-protos/envoy/extensions/access_loggers/stream/v3/stream.ts';
import { pack } from './pack.ts';

/** One JSON line for each request. Nothing of it is a secret: no query, no cookie, no Authorization. */
export function accessLog(listener: string) {
  const jsonFormat = {
    t: '%START_TIME(%s%3f)%',
    l: listener,
    r: '%ROUTE_NAME%',
    m: '%REQ(:METHOD)%',
    p: '%PATH(NQ:PATH)%',
    a: '%REQ(:AUTHORITY)%',
    v: '%PROTOCOL%',
    s: '%RESPONSE_CODE%',
    f: '%RESPONSE_FLAGS%',
    c: '%RESPONSE_CODE_DETAILS%',
    d: '%DURATION%',
    rx: '%BYTES_RECEIVED%',
    tx: '%BYTES_SENT%',
    // The peer of the connection: what a client writes into X-Forwarded-For counts for nothing.
    src: '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%',
    dst: '%DOWNSTREAM_LOCAL_ADDRESS%',
    up: '%UPSTREAM_REMOTE_ADDRESS%',
    ua: '%REQ(USER-AGENT)%',
  };
  return {
    name: 'envoy.access_loggers.stdout',
    configType: {
      $case: 'typedConfig' as const,
      value: pack(StdoutAccessLog, 'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog', {
        accessLogFormat: {
          $case: 'logFormat',
          value: { format: { $case: 'jsonFormat', value: jsonFormat }, jsonFormatOptions: { sortProperties: false } },
        },
      }),
    },
  };
}
