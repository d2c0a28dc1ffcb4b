import {
  Cluster,
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_LbPolicy as LbPolicy,
} from '@envoyproxy/xds-protos/envoy/config/cluster/v3/cluster.ts';
import { ApiVersion } from '@envoyproxy/xds-protos/envoy/config/core/v3/config_source.ts';
import { ClusterLoadAssignment } from '@envoyproxy/xds-protos/envoy/config/endpoint/v3/endpoint.ts';
import type { ServiceBackend } from '../services/backends.ts';
import { serialize } from './pack.ts';
import { UNLIMITED, upstreamBind, upstreamOptions } from './upstream.ts';

/** Of the requests to a cluster at most a fifth, or ten, are repeated at one time: a server that fails gets no storm. */
const retryBudget = { budgetPercent: { value: 20 }, minRetryConcurrency: 10 };

/** Endpoints of a Service. `byClient`: requests of one client go to one of them (Maglev), else to any. */
export function serviceCluster(name: string, protocol: 'http2' | 'same', byClient: boolean): Buffer {
  return serialize(Cluster, {
    name,
    clusterDiscoveryType: { $case: 'type', value: DiscoveryType.EDS },
    edsClusterConfig: {
      edsConfig: { configSourceSpecifier: { $case: 'ads', value: {} }, resourceApiVersion: ApiVersion.V3 },
    },
    lbPolicy: byClient ? LbPolicy.MAGLEV : LbPolicy.RANDOM,
    connectTimeout: { seconds: 5n, nanos: 0 },
    circuitBreakers: { thresholds: [{ ...UNLIMITED, retryBudget }] },
    typedExtensionProtocolOptions: upstreamOptions(protocol),
    upstreamBindConfig: upstreamBind,
  });
}

export function endpoints(clusterName: string, backends: readonly ServiceBackend[]): Buffer {
  return serialize(ClusterLoadAssignment, { clusterName, endpoints: [{ lbEndpoints: backends.map(lbEndpoint) }] });
}

function lbEndpoint({ address, port }: ServiceBackend) {
  const socketAddress = { address, portSpecifier: { $case: 'portValue' as const, value: port } };
  const value = { address: { address: { $case: 'socketAddress' as const, value: socketAddress } } };
  return { hostIdentifier: { $case: 'endpoint' as const, value } };
}
