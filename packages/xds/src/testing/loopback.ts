/** Real servers and clients on unix sockets, for tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AggregatedDiscoveryServiceClient } from '@envoyproxy/xds-protos/envoy/service/discovery/v3/ads.ts';
import {
  DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
} from '@envoyproxy/xds-protos/envoy/service/discovery/v3/discovery.ts';
import { credentials, Server, ServerCredentials, type ServiceError } from '@grpc/grpc-js';
import type { ResourceCache } from '../cache.ts';
import { AdsClient, type AdsClientOptions } from '../client.ts';
import { resource } from '../resource.ts';
import { AdsServer, type AdsServerOptions, adsServerOptions } from '../server.ts';
import type { ClientBatch, ClientCall } from '../session.ts';

export const TYPE = 'type.googleapis.com/test.Thing';
export const OTHER = 'type.googleapis.com/test.Other';

/** A resource with text for content. */
export const thing = (name: string, text = name, typeUrl = TYPE) => resource(typeUrl, name, Buffer.from(text));

export interface RunningServer extends AsyncDisposable {
  readonly target: string;
  readonly ads: AdsServer;
}

/** Serves a cache on a unix socket; clients get the view that their node id names. */
export async function serve(cache: ResourceCache, options: Partial<AdsServerOptions> = {}): Promise<RunningServer> {
  const ads = new AdsServer({ cache, authorize: (_call, nodeId) => ({ view: nodeId }), ...options });
  const server = new Server(adsServerOptions);
  ads.addTo(server);
  return { ads, ...(await listen(server)) };
}

/** Listens on a new unix socket. */
export async function listen(
  server: Server,
  credentials = ServerCredentials.createInsecure(),
): Promise<{ readonly target: string } & AsyncDisposable> {
  const directory = mkdtempSync(join(tmpdir(), 'xds-'));
  const target = `unix:${join(directory, 'ads.sock')}`;
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(target, credentials, (error) => (error ? reject(error) : resolve())),
  );
  return {
    target,
    [Symbol.asyncDispose]: async () => {
      server.forceShutdown();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export interface Follower extends AsyncDisposable {
  readonly client: AdsClient;
  /** What the batches add up to: name to content. */
  readonly state: Map<string, string>;
  readonly batches: ClientBatch[];
  /** Why it waited before each reconnect. */
  readonly failures: string[];
}

/** A client that keeps what it is sent of `TYPE`. */
export function follow(targets: readonly string[], options: Partial<AdsClientOptions> = {}): Follower {
  const state = new Map<string, string>();
  const batches: ClientBatch[] = [];
  const failures: string[] = [];
  const client = new AdsClient({
    targets,
    credentials: () => credentials.createInsecure(),
    node: { id: 'a' },
    subscriptions: [{ typeUrl: TYPE }],
    backoff: { initialMs: 5, maxMs: 20 },
    connectTimeoutMs: 1_000,
    onBatch: (batch) => {
      batches.push(batch);
      for (const name of batch.deletes) state.delete(name);
      for (const { name, bytes } of batch.upserts) state.set(name, Buffer.from(bytes).toString());
    },
    ...options,
    onState: (event) => {
      if (event.kind === 'waiting') failures.push(event.reason);
      options.onState?.(event);
    },
  });
  client.start();
  return { client, state, batches, failures, [Symbol.asyncDispose]: () => client.stop() };
}

/** A bare client that sends and sees single messages, as Envoy might. */
export class RawClient implements Disposable {
  readonly received: DeltaDiscoveryResponse[] = [];
  readonly call: ClientCall;
  error: ServiceError | undefined;
  ended = false;
  readonly #client: AggregatedDiscoveryServiceClient;

  readonly #nodeId: string;

  constructor(target: string, nodeId = 'a') {
    this.#nodeId = nodeId;
    this.#client = new AggregatedDiscoveryServiceClient(target, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    this.call = this.#client.deltaAggregatedResources();
    this.call.on('data', (response: DeltaDiscoveryResponse) => this.received.push(response));
    this.call.on('error', (error: ServiceError) => {
      this.error = error;
    });
    this.call.on('end', () => {
      this.ended = true;
    });
  }

  send(request: Partial<DeltaDiscoveryRequest>): void {
    this.call.write(DeltaDiscoveryRequest.fromPartial({ node: { id: this.#nodeId }, typeUrl: TYPE, ...request }));
  }

  /** Answers a response; with a reason, rejects it. */
  answer({ nonce, typeUrl }: DeltaDiscoveryResponse, reason?: string): void {
    const rejected = reason === undefined ? {} : { errorDetail: { code: 3, message: reason, details: [] } };
    this.send({ typeUrl, responseNonce: nonce, ...rejected });
  }

  /** The response of this number, from 1. */
  async response(number: number): Promise<DeltaDiscoveryResponse> {
    await until(() => this.received.length >= number, `response ${number}`);
    const found = this.received[number - 1];
    if (found === undefined) throw new Error('unreachable');
    return found;
  }

  [Symbol.dispose](): void {
    this.call.cancel();
    this.#client.close();
  }
}

/** The names in a response. */
export const namesOf = (response: DeltaDiscoveryResponse): string[] =>
  response.resources.map(({ name }) => name).sort();

/** Waits up to 15 s for a condition. */
export async function until(condition: () => boolean, what = 'the condition'): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
