import type {
  Http1ProtocolOptions,
  Http2ProtocolOptions,
} from '@envoyproxy/xds-protos/envoy/config/core/v3/protocol.ts';
import { PreserveCaseFormatterConfig } from '@envoyproxy/xds-protos/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case.ts';
import { pack } from './pack.ts';

/** On both sides, so that either end sees what the other sent: names of headers as written, methods, trailers. */
export const http1 = {
  enableTrailers: true,
  allowCustomMethods: true,
  headerKeyFormat: {
    headerFormat: {
      $case: 'statefulFormatter',
      value: {
        name: 'preserve_case',
        typedConfig: pack(
          PreserveCaseFormatterConfig,
          'envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig',
          {},
        ),
      },
    },
  },
} satisfies Partial<Http1ProtocolOptions>;

export const http2 = {} satisfies Partial<Http2ProtocolOptions>;
