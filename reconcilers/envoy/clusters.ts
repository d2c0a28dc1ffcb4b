import {
  Cluster,
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_LbPolicy as LbPolicy,
} from '@envoyproxy/xds-protos/envoy/config/cluster/v3/cluster.ts';
import { ORIGIN } from './names.ts';
import { serialize } from './pack.ts';
import { UNLIMITED, upstreamBind, upstreamOptions } from './upstream.ts';

/** Where the client was going, in the client's protocol. Connections are shared by those of one client's address only. */
export function originCluster(): Buffer {
  return serialize(Cluster, {
    name: ORIGIN,
    clusterDiscoveryType: { $case: 'type', value: DiscoveryType.ORIGINAL_DST },
    lbPolicy: LbPolicy.CLUSTER_PROVIDED,
    connectTimeout: { seconds: 5n, nanos: 0 },
    cleanupInterval: { seconds: 60n, nanos: 0 },
    circuitBreakers: { thresholds: [{ ...UNLIMITED, maxRetries: 0 }] },
    typedExtensionProtocolOptions: upstreamOptions('same'),
    upstreamBindConfig: upstreamBind,
  });
}
