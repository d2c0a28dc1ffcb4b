/** Envoy's bootstrap: what it knows before the agent tells it anything. Names are those of envoy.config.bootstrap.v3. */

import { envoyRuntime, internalListeners } from '../reconcilers/envoy/runtime.ts';

/** Beside these the supervisor gives the node id (the pod's uid) and the flags of the process. */
export interface BootstrapValues {
  /** Bytes of heap from which on new requests and connections are refused, so that the container is not killed. */
  readonly heapBytes: number;
  /** Connections of clients at one time. */
  readonly connections: number;
}

/** The agent's sockets; the directory of the node is mounted at the same path. */
export const envoyDir = '/run/weft/envoy';
/** Envoy's own, in its pod. */
export const envoyRunDir = '/run/envoy';

const agentCluster = 'weft-agent';
const http2 = {
  '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
  explicit_http_config: { http2_protocol_options: {} },
};

/** From the agent over ADS. It goes on without an answer after 5 s: without listeners nothing gets through. */
const fromAgent = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '5s' };

export function bootstrap(values: BootstrapValues): object {
  return {
    admin: {
      address: { pipe: { path: `${envoyRunDir}/admin.sock`, mode: 0o600 } },
      // It answers also while Envoy refuses everybody else.
      ignore_global_conn_limit: true,
    },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [
          {
            envoy_grpc: {
              cluster_name: agentCluster,
              // A restarted agent is found again at once; Envoy's own values are 500 ms to 30 s.
              retry_policy: { retry_back_off: { base_interval: '0.1s', max_interval: '1s' } },
            },
          },
        ],
      },
      cds_config: fromAgent,
      lds_config: fromAgent,
    },
    static_resources: {
      clusters: [
        {
          name: agentCluster,
          type: 'STATIC',
          connect_timeout: '1s',
          typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': http2 },
          load_assignment: {
            cluster_name: agentCluster,
            endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: `${envoyDir}/xds.sock` } } } }] }],
          },
        },
      ],
    },
    bootstrap_extensions: [internalListeners],
    layered_runtime: { layers: [{ name: 'weft', static_layer: envoyRuntime }] },
    stats_config: statsConfig,
    overload_manager: overloadManager(values),
    watchdogs: { main_thread_watchdog: watchdog, worker_watchdog: watchdog },
  };
}

/** A thread that hangs for that long does not come back: Envoy ends itself and the supervisor starts it again. */
const watchdog = { kill_timeout: '30s' };

/** Each listener and cluster has a hundred numbers by default; kept are those that somebody reads. */
const statsConfig = {
  use_all_default_tags: false,
  stats_matcher: {
    inclusion_list: {
      patterns: [
        ...['server.', 'listener_manager.', 'cluster_manager.', 'control_plane.', 'overload.'].map((prefix) => ({
          prefix,
        })),
        ...[
          '.downstream_cx_active',
          '.downstream_cx_total',
          '.downstream_cx_overflow',
          '.downstream_global_cx_overflow',
          '.downstream_rq_active',
          '.downstream_rq_total',
          '.upstream_cx_active',
          '.upstream_cx_total',
          '.upstream_cx_connect_fail',
          '.upstream_rq_pending_overflow',
        ].map((suffix) => ({ suffix })),
      ],
    },
  },
};

function overloadManager({ heapBytes, connections }: BootstrapValues): object {
  const heap = 'envoy.resource_monitors.fixed_heap';
  const from = (action: string, share: number) => ({
    name: `envoy.overload_actions.${action}`,
    triggers: [{ name: heap, threshold: { value: share } }],
  });
  return {
    refresh_interval: '0.25s',
    resource_monitors: [
      {
        name: heap,
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig',
          max_heap_size_bytes: heapBytes,
        },
      },
      {
        name: 'envoy.resource_monitors.global_downstream_max_connections',
        typed_config: {
          '@type':
            'type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig',
          max_active_downstream_connections: connections,
        },
      },
    ],
    actions: [
      from('shrink_heap', 0.9),
      from('disable_http_keepalive', 0.92),
      from('stop_accepting_requests', 0.95),
      from('reject_incoming_connections', 0.98),
    ],
  };
}
