import { setTimeout as sleep } from 'node:timers/promises';
import { AggregatedDiscoveryServiceService } from '@envoyproxy/xds-protos/envoy/service/discovery/v3/ads.ts';
import type { DeltaDiscoveryRequest } from '@envoyproxy/xds-protos/envoy/service/discovery/v3/discovery.ts';
import type { Server, ServerOptions } from '@grpc/grpc-js';
import type { ResourceCache, ResourceKey } from './cache.ts';
import { type Refusal, reasonOf, refusal } from './errors.ts';
import type { Resource } from './resource.ts';
import {
  type AdsCall,
  AdsStream,
  type Answer,
  type ConnectedClient,
  type StreamLimits,
  type StreamStatus,
} from './stream.ts';

/** Whom the server takes a client for: a view of the cache, or why it is refused. */
export type Authorization = { readonly view: string } | { readonly refused: Refusal };

export interface AdsServerOptions {
  readonly cache: ResourceCache;
  /**
   * Decides from what the connection proves (certificate, token in the metadata) which view a client gets;
   * `nodeId` is what the client says of itself and proves nothing. A throw refuses with INTERNAL.
   */
  readonly authorize: (call: AdsCall, nodeId: string) => Authorization | Promise<Authorization>;
  /** Told of each ACK and NACK; must not throw. */
  readonly onAnswer?: (answer: Answer) => void;
  /** Told after each request of a client, answers included: where it stands may be another. Must not throw. */
  readonly onProgress?: (client: ConnectedClient) => void;
  /** Told when a client's stream starts or ends; must not throw. */
  readonly onStream?: (event: { readonly kind: 'opened' | 'closed'; readonly view: string }) => void;
  /** Types in the order in which one commit's updates are sent; Envoy wants CDS, EDS, LDS, RDS. */
  readonly typeOrder?: readonly string[];
  /**
   * What must be sent again with a resource although it did not change, of types later in `typeOrder`: Envoy warms
   * an updated cluster, and acknowledges no CDS meanwhile, until it gets the cluster's endpoints once more.
   */
  readonly resendWith?: (sent: Resource) => readonly ResourceKey[];
  readonly limits?: Partial<StreamLimits>;
}

const DEFAULT_LIMITS: StreamLimits = { maxTypes: 32, maxNames: 1_000_000, maxPartBytes: 1 << 20 };

const SHUTTING_DOWN = refusal('UNAVAILABLE', 'the server is shutting down');

/** gRPC options that an ADS server should have: room for a client that resumes with many names, and keepalive. */
export const adsServerOptions: ServerOptions = {
  'grpc.max_receive_message_length': 64 << 20,
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
};

/** Serves a `ResourceCache` as `envoy.service.discovery.v3.AggregatedDiscoveryService`, the incremental method. */
export class AdsServer {
  readonly #options: AdsServerOptions;
  readonly #limits: StreamLimits;
  readonly #streams = new Map<AdsStream, AdsCall>();
  #draining = false;

  constructor(options: AdsServerOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
  }

  /** Adds the service to a gRPC server, whose port, credentials and life stay with the caller. */
  addTo(server: Server): void {
    server.addService(AggregatedDiscoveryServiceService, {
      deltaAggregatedResources: (call: AdsCall) => this.#serve(call),
      streamAggregatedResources: (call: AdsCall) =>
        refuse(call, refusal('UNIMPLEMENTED', 'only delta ADS is served: set api_type: DELTA_GRPC')),
    });
  }

  /** What each client is subscribed to and has been sent, sorted by view. */
  streams(): StreamStatus[] {
    return [...this.#streams.keys()].map((stream) => stream.status()).sort((a, b) => (a.view < b.view ? -1 : 1));
  }

  /** Who is connected, in the order in which they came. */
  clients(): ConnectedClient[] {
    return [...this.#streams.keys()];
  }

  /** Ends a view's streams, for example because its client's rights were revoked. */
  disconnect(view: string, details: string): void {
    for (const [stream, call] of this.#streams) {
      if (stream.view !== view) continue;
      stream.close();
      refuse(call, refusal('PERMISSION_DENIED', details));
    }
  }

  /** Takes no more clients, lets updates under way be answered for at most `timeoutMs`, then ends all streams. */
  async drain(timeoutMs: number): Promise<void> {
    this.#draining = true;
    for (const stream of this.#streams.keys()) stream.drain();
    const deadline = performance.now() + timeoutMs;
    while ([...this.#streams.keys()].some((stream) => !stream.idle) && performance.now() < deadline) await sleep(10);
    for (const [stream, call] of this.#streams) {
      stream.close();
      refuse(call, SHUTTING_DOWN);
    }
  }

  #serve(call: AdsCall): void {
    if (this.#draining) {
      refuse(call, SHUTTING_DOWN);
      return;
    }
    let stream: AdsStream | undefined;
    let ended = false;
    const end = (): void => {
      if (ended) return;
      ended = true;
      if (stream === undefined) return;
      stream.close();
      this.#streams.delete(stream);
      this.#options.onStream?.({ kind: 'closed', view: stream.view });
    };
    const receive = (request: DeltaDiscoveryRequest, to: AdsStream): void => {
      const problem = to.receive(request);
      if (problem !== undefined) refuse(call, problem);
      else this.#options.onProgress?.(to);
    };
    const open = async (request: DeltaDiscoveryRequest): Promise<void> => {
      const authorization = await this.#authorize(call, request);
      if (ended) return;
      if (this.#draining) return refuse(call, SHUTTING_DOWN);
      if ('refused' in authorization) return refuse(call, authorization.refused);
      stream = this.#open(authorization.view, request.node?.id ?? '', call);
      receive(request, stream);
      call.resume();
    };
    call.on('data', (request: DeltaDiscoveryRequest) => {
      if (ended) return;
      if (stream !== undefined) return receive(request, stream);
      // Nothing of this client is read on before it is known who it is.
      call.pause();
      void open(request);
    });
    call.on('end', () => {
      end();
      call.end();
    });
    for (const event of ['error', 'close', 'cancelled']) call.on(event, end);
  }

  async #authorize(call: AdsCall, request: DeltaDiscoveryRequest): Promise<Authorization> {
    try {
      return await this.#options.authorize(call, request.node?.id ?? '');
    } catch (thrown) {
      return { refused: refusal('INTERNAL', `authorization failed: ${reasonOf(thrown)}`) };
    }
  }

  #open(view: string, nodeId: string, call: AdsCall): AdsStream {
    const { cache, typeOrder = [], resendWith = () => [], onAnswer = () => {}, onStream } = this.#options;
    const stream = new AdsStream({ view, nodeId, call, cache, limits: this.#limits, typeOrder, resendWith, onAnswer });
    this.#streams.set(stream, call);
    onStream?.({ kind: 'opened', view });
    return stream;
  }
}

/** Ends a call with a status; later events of the call find it ended. */
function refuse(call: AdsCall, { code, details }: Refusal): void {
  call.emit('error', Object.assign(new Error(details), { code, details }));
}
