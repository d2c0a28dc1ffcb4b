/** Serves this node's Envoys their configuration: delta ADS on a unix socket that only they and root can open. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import {
  AdsServer,
  adsServerOptions,
  type ConnectedClient,
  type Resource,
  type ResourceCache,
  type ResourceKey,
  refusal,
} from '@weft/xds';
import { removeStaleSocket, shareSocket } from '../lib/unix-socket.ts';
import { VIEW } from './config.ts';
import { CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTE_TYPE } from './resources.ts';

/**
 * One resource in a response: Envoy rejects responses as a whole, so a bad listener holds up no other, and a rejection
 * names what it is about.
 */
const MAX_PART_BYTES = 1;

export interface EnvoyAdsOptions {
  readonly path: string;
  readonly group: number;
  readonly cache: ResourceCache;
  /** Whether a pod with this uid is a proxy of this node. */
  readonly isProxy: (uid: string) => boolean;
  /** Told when an Envoy came, went, asked or answered. */
  readonly onProgress: () => void;
}

export class EnvoyAds {
  readonly #options: EnvoyAdsOptions;
  readonly #ads: AdsServer;
  #server: Server | undefined;

  constructor(options: EnvoyAdsOptions) {
    this.#options = options;
    this.#ads = new AdsServer({
      cache: options.cache,
      authorize: (_call, uid) =>
        options.isProxy(uid)
          ? { view: VIEW }
          : {
              refused: refusal(
                'PERMISSION_DENIED',
                `node.id is "${uid.slice(0, 64)}", not the uid of a proxy pod here`,
              ),
            },
      onProgress: options.onProgress,
      onStream: options.onProgress,
      typeOrder: [CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTE_TYPE],
      resendWith: endpointsOf,
      limits: { maxPartBytes: MAX_PART_BYTES },
    });
  }

  async start(): Promise<void> {
    const { path, group } = this.#options;
    removeStaleSocket(path);
    const server = new Server(adsServerOptions);
    this.#ads.addTo(server);
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(new Error(`${path} can't be served: ${error.message}`)) : resolve(),
      ),
    );
    // Meanwhile the directory kept everybody else out.
    shareSocket(path, group);
    this.#server = server;
  }

  /** Envoys keep what they have, and come back. */
  stop(): void {
    this.#server?.forceShutdown();
  }

  /** The Envoy of a pod; of two streams the newer one, as the older one's process is gone. */
  client(uid: string): ConnectedClient | undefined {
    return this.#ads.clients().findLast(({ nodeId }) => nodeId === uid);
  }

  clients(): ConnectedClient[] {
    return this.#ads.clients();
  }
}

/** An updated cluster waits for its endpoints, of the same name. */
function endpointsOf({ typeUrl, name }: Resource): ResourceKey[] {
  return typeUrl === CLUSTER_TYPE ? [{ typeUrl: ENDPOINTS_TYPE, name }] : [];
}
