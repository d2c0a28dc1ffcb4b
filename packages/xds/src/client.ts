import { setTimeout as sleep } from 'node:timers/promises';
import { AggregatedDiscoveryServiceClient } from '@envoyproxy/xds-protos/envoy/service/discovery/v3/ads.ts';
import type { ChannelCredentials, ChannelOptions, Metadata } from '@grpc/grpc-js';
import { Backoff, type BackoffOptions } from './backoff.ts';
import { reasonOf } from './errors.ts';
import { type ClientBatch, type HeldVersions, runSession, type TypeSubscription } from './session.ts';

export type ClientState =
  | { readonly kind: 'connecting'; readonly target: string }
  | { readonly kind: 'streaming'; readonly target: string }
  | { readonly kind: 'waiting'; readonly ms: number; readonly reason: string }
  | { readonly kind: 'stopped' };

export interface AdsClientOptions {
  /** Servers in gRPC's notation ("10.0.0.1:4240", "unix:/run/xds.sock"); any of them will do. */
  readonly targets: readonly string[];
  /** Called for each connection, so renewed certificates are used from the next one on. */
  readonly credentials: () => ChannelCredentials | Promise<ChannelCredentials>;
  /** Called for each stream: tokens. */
  readonly metadata?: () => Metadata | Promise<Metadata>;
  readonly channelOptions?: ChannelOptions;
  readonly node: { readonly id: string; readonly cluster?: string };
  readonly subscriptions: readonly TypeSubscription[];
  /**
   * Applies a batch; batches come one at a time. A throw rejects it (NACK) with the error's message: the server
   * does not send it again before it changes or the stream is new, so what may succeed later is better
   * accepted and retried by the caller.
   */
  readonly onBatch: (batch: ClientBatch) => void | Promise<void>;
  /** Told of each change of state; must not throw. */
  readonly onState?: (state: ClientState) => void;
  /** What the caller has from an earlier life, by type URL and name. */
  readonly held?: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** Default: 200 ms to 15 s. */
  readonly backoff?: BackoffOptions;
  /** How long a connection may take to be usable; default 5 s. */
  readonly connectTimeoutMs?: number;
  /** Largest response; default 64 MiB. */
  readonly maxMessageBytes?: number;
  /** Largest update over all its parts; default 256 MiB. */
  readonly maxUpdateBytes?: number;
}

const MIB = 1 << 20;

/** A delta ADS client that stays connected to one of several servers. */
export class AdsClient {
  readonly #options: AdsClientOptions;
  readonly #held: HeldVersions = new Map();
  readonly #backoff: Backoff;
  readonly #stopped = new AbortController();
  #targets: readonly string[];
  #next: number;
  #session: { readonly target: string; readonly abort: AbortController } | undefined;
  #wake = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: AdsClientOptions) {
    this.#options = options;
    this.#targets = options.targets;
    // Clients that start together spread over the servers.
    this.#next = Math.floor(Math.random() * Math.max(1, options.targets.length));
    this.#backoff = new Backoff(options.backoff ?? { initialMs: 200, maxMs: 15_000 });
    for (const [typeUrl, versions] of options.held ?? []) this.#held.set(typeUrl, new Map(versions));
  }

  /** Connects, and reconnects until `stop`. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the stream; resolves when the last batch is handled. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#session?.abort.abort();
    this.#wake.abort();
    await this.#running;
  }

  /** Replaces the servers; leaves the current one if it is gone from the list, and does not wait any longer. */
  setTargets(targets: readonly string[]): void {
    this.#targets = targets;
    if (this.#session !== undefined && !targets.includes(this.#session.target)) this.reconnect();
    this.#wake.abort();
  }

  /** Ends the current stream and connects again, for example to use a renewed certificate. */
  reconnect(): void {
    this.#session?.abort.abort();
  }

  /** What the client has accepted: name to version, by type URL. */
  held(): ReadonlyMap<string, ReadonlyMap<string, string>> {
    return this.#held;
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const target = this.#targets[this.#next++ % Math.max(1, this.#targets.length)];
      let reason = 'there is no server to connect to';
      if (target !== undefined) {
        const abort = new AbortController();
        this.#session = { target, abort };
        try {
          await this.#connect(target, abort.signal);
          reason = `${target} ended the stream`;
        } catch (thrown) {
          reason = `${target}: ${reasonOf(thrown)}`;
        }
        this.#session = undefined;
      }
      await this.#wait(reason);
    }
    this.#options.onState?.({ kind: 'stopped' });
  }

  async #wait(reason: string): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    const ms = this.#backoff.next();
    this.#options.onState?.({ kind: 'waiting', ms, reason });
    this.#wake = new AbortController();
    await sleep(ms, undefined, { signal: this.#wake.signal }).catch(() => {});
  }

  async #connect(target: string, abort: AbortSignal): Promise<void> {
    const options = this.#options;
    options.onState?.({ kind: 'connecting', target });
    const metadata = await options.metadata?.();
    const client = new AggregatedDiscoveryServiceClient(target, await options.credentials(), {
      'grpc.keepalive_time_ms': 20_000,
      'grpc.keepalive_timeout_ms': 10_000,
      'grpc.max_receive_message_length': options.maxMessageBytes ?? 64 * MIB,
      'grpc.max_send_message_length': -1,
      // Its own connection: gRPC would share one between clients with different credentials and backoff.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.service_config_disable_resolution': 1,
      ...options.channelOptions,
    });
    const close = (): void => client.close();
    abort.addEventListener('abort', close);
    try {
      await ready(client, abort, options.connectTimeoutMs ?? 5_000);
      const call =
        metadata === undefined ? client.deltaAggregatedResources() : client.deltaAggregatedResources(metadata);
      const cancel = (): void => call.cancel();
      abort.addEventListener('abort', cancel);
      options.onState?.({ kind: 'streaming', target });
      await runSession({
        call,
        node: options.node,
        subscriptions: options.subscriptions,
        held: this.#held,
        maxUpdateBytes: options.maxUpdateBytes ?? 256 * MIB,
        onBatch: options.onBatch,
        onHealthy: () => this.#backoff.reset(),
      });
    } finally {
      abort.removeEventListener('abort', close);
      client.close();
    }
  }
}

/** Resolves when the connection is up. */
function ready(client: AggregatedDiscoveryServiceClient, abort: AbortSignal, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    abort.throwIfAborted();
    abort.addEventListener('abort', () => reject(new Error('stopped')), { once: true });
    client.waitForReady(Date.now() + timeoutMs, (error) => {
      if (error) reject(new Error(`no connection within ${timeoutMs} ms (${error.message})`));
      else resolve();
    });
  });
}
