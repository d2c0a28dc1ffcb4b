/**
 * The way of mirrored requests. Envoy sends them from an address of its own, whatever the client's is; so they go through
 * a listener inside of it first, which takes the client's address from a header and speaks from there.
 */
import {
  Cluster,
  Cluster_DiscoveryType as DiscoveryType,
} from '@envoyproxy/xds-protos/envoy/config/cluster/v3/cluster.ts';
import { HeaderValueOption_HeaderAppendAction as Append } from '@envoyproxy/xds-protos/envoy/config/core/v3/base.ts';
import { Listener } from '@envoyproxy/xds-protos/envoy/config/listener/v3/listener.ts';
import { OriginalSrc } from '@envoyproxy/xds-protos/envoy/extensions/filters/http/original_src/v3/original_src.ts';
import { CustomHeaderConfig } from '@envoyproxy/xds-protos/envoy/extensions/http/original_ip_detection/custom_header/v3/custom_header.ts';
import { connectionManager, managerFilter } from './listener.ts';
import { CLIENT_HEADER, marks } from './names.ts';
import { filter, pack, serialize } from './pack.ts';
import { UNLIMITED, upstreamOptions } from './upstream.ts';

/** What a request with mirrors carries. */
export const clientHeader = {
  header: { key: CLIENT_HEADER, value: '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%' },
  appendAction: Append.OVERWRITE_IF_EXISTS_OR_ADD,
};

/** To the listener of the same name. */
export function mirrorCluster(name: string): Buffer {
  const address = {
    address: {
      $case: 'envoyInternalAddress' as const,
      value: { addressNameSpecifier: { $case: 'serverListenerName' as const, value: name } },
    },
  };
  const hostIdentifier = { $case: 'endpoint' as const, value: { address } };
  return serialize(Cluster, {
    name,
    clusterDiscoveryType: { $case: 'type', value: DiscoveryType.STATIC },
    connectTimeout: { seconds: 1n, nanos: 0 },
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [{ hostIdentifier }] }] },
    circuitBreakers: { thresholds: [{ ...UNLIMITED, maxRetries: 0 }] },
    typedExtensionProtocolOptions: upstreamOptions('same'),
  });
}

const SRC = 'envoy.extensions.filters.http.original_src.v3.OriginalSrc';
const DETECTION = 'envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig';

/** `cluster`: the mirror's. */
export function mirrorListener(name: string, cluster: string): Buffer {
  const routes = {
    virtualHosts: [
      {
        name: 'all',
        domains: ['*'],
        requestHeadersToRemove: [CLIENT_HEADER],
        routes: [
          {
            match: { pathSpecifier: { $case: 'prefix' as const, value: '' } },
            action: {
              $case: 'route' as const,
              value: {
                clusterSpecifier: { $case: 'cluster' as const, value: cluster },
                timeout: { seconds: 0n, nanos: 0 },
              },
            },
          },
        ],
      },
    ],
  };
  const httpFilters = [filter('envoy.filters.http.original_src', pack(OriginalSrc, SRC, { mark: marks.egress }))];
  const manager = {
    ...connectionManager({ name, routes: '', httpFilters, trustedHops: 0 }),
    routeSpecifier: { $case: 'routeConfig' as const, value: routes },
    originalIpDetectionExtensions: [
      {
        name: 'envoy.http.original_ip_detection.custom_header',
        typedConfig: pack(CustomHeaderConfig, DETECTION, {
          headerName: CLIENT_HEADER,
          rejectWithStatus: { code: 400 },
        }),
      },
    ],
    accessLog: [],
  };
  return serialize(Listener, {
    name,
    listenerSpecifier: { $case: 'internalListener', value: {} },
    filterChains: [{ filters: [managerFilter(manager)] }],
  });
}
