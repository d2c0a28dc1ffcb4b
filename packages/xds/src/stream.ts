import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from '@envoyproxy/xds-protos/envoy/service/discovery/v3/discovery.ts';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { ChangedNames, ResourceCache, ResourceKey } from './cache.ts';
import { type Refusal, refusal } from './errors.ts';
import { formatPosition, splitDelta } from './parts.ts';
import type { Resource } from './resource.ts';
import { type Delta, Subscription } from './subscription.ts';

export type AdsCall = ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

/** A client's answer to one response. */
export interface Answer {
  readonly view: string;
  readonly typeUrl: string;
  /** What the response carried. */
  readonly upserts: readonly { readonly name: string; readonly version: string }[];
  readonly removes: readonly string[];
  /** Why the client rejected it, in its own words (at most 4 KiB); undefined: it accepted. */
  readonly rejected: string | undefined;
}

/** What a client is subscribed to of one type, for inspection. */
export interface TypeStatus {
  readonly typeUrl: string;
  readonly wildcard: boolean;
  /** Names subscribed to one by one. */
  readonly named: number;
  /** Resources that the client was sent. */
  readonly sent: number;
  /** Responses without an answer yet. */
  readonly unanswered: number;
  /** Rejected resources that nothing newer has replaced: name to reason. */
  readonly rejected: ReadonlyMap<string, string>;
}

/** Where a client stands with what it was sent last of one resource. */
export type Standing =
  | { readonly kind: 'pending' }
  | { readonly kind: 'accepted'; readonly version: string }
  | { readonly kind: 'rejected'; readonly version: string; readonly reason: string };

/** A client that is connected. */
export interface ConnectedClient {
  readonly view: string;
  /** What it says of itself. */
  readonly nodeId: string;
  /** Undefined: it was sent no such resource. What it brought along from an earlier stream counts as accepted. */
  standing(typeUrl: string, name: string): Standing | undefined;
}

export interface StreamStatus {
  readonly view: string;
  readonly peer: string;
  readonly types: readonly TypeStatus[];
}

export interface StreamLimits {
  /** Types that one stream may subscribe to. */
  readonly maxTypes: number;
  /** Names that one stream may be subscribed to, and say that it has, over all its types. */
  readonly maxNames: number;
  /** Largest response, unless a single resource is larger. */
  readonly maxPartBytes: number;
}

interface TypeState {
  readonly subscription: Subscription;
  /** Responses that are queued or sent, by nonce. While there are any, newer changes wait and coalesce. */
  readonly unanswered: Map<string, Delta>;
  /** Names of what `unanswered` brings: each is in one response only. */
  readonly pending: Set<string>;
  readonly rejected: Map<string, { readonly version: string; readonly reason: string }>;
}

interface Part {
  readonly typeUrl: string;
  readonly systemVersionInfo: string;
  readonly nonce: string;
  readonly delta: Delta;
}

const MAX_REASON = 4096;

/** One client's stream, after its view is known. */
export class AdsStream implements ConnectedClient {
  readonly view: string;
  readonly nodeId: string;
  readonly #call: AdsCall;
  readonly #cache: ResourceCache;
  readonly #limits: StreamLimits;
  readonly #typeOrder: readonly string[];
  readonly #resendWith: (sent: Resource) => readonly ResourceKey[];
  readonly #onAnswer: (answer: Answer) => void;
  readonly #types = new Map<string, TypeState>();
  readonly #queue: Part[] = [];
  readonly #unwatch: () => void;
  /** Number of the last response queued; its nonce. */
  #nonce = 0;
  /** Number of the last response given to the transport. */
  #sent = 0;
  #writing = false;
  #draining = false;
  #closed = false;

  constructor(options: {
    view: string;
    nodeId: string;
    call: AdsCall;
    cache: ResourceCache;
    limits: StreamLimits;
    typeOrder: readonly string[];
    resendWith: (sent: Resource) => readonly ResourceKey[];
    onAnswer: (answer: Answer) => void;
  }) {
    this.view = options.view;
    this.nodeId = options.nodeId;
    this.#call = options.call;
    this.#cache = options.cache;
    this.#limits = options.limits;
    this.#typeOrder = options.typeOrder;
    this.#resendWith = options.resendWith;
    this.#onAnswer = options.onAnswer;
    this.#unwatch = options.cache.watch(options.view, (changed) => this.#onCommit(changed));
  }

  /** Handles one request; gives the reason to end the stream if it is not acceptable. */
  receive(request: DeltaDiscoveryRequest): Refusal | undefined {
    const { typeUrl } = request;
    if (typeUrl === '') return refusal('INVALID_ARGUMENT', 'a DeltaDiscoveryRequest over ADS needs a type_url');
    if (!this.#types.has(typeUrl) && this.#types.size >= this.#limits.maxTypes) {
      return refusal('RESOURCE_EXHAUSTED', `a stream may subscribe to ${this.#limits.maxTypes} types`);
    }
    const initialVersions = new Map(Object.entries(request.initialResourceVersions));
    let names = request.resourceNamesSubscribe.length + initialVersions.size;
    for (const { subscription } of this.#types.values()) names += subscription.named;
    if (names > this.#limits.maxNames) {
      return refusal('RESOURCE_EXHAUSTED', `a stream may name ${this.#limits.maxNames} resources`);
    }
    const state = this.#state(typeUrl);
    if (request.responseNonce !== '') this.#answered(typeUrl, state, request);
    state.subscription.change({
      subscribe: request.resourceNamesSubscribe,
      unsubscribe: request.resourceNamesUnsubscribe,
      initialVersions,
    });
    this.#flush();
    return undefined;
  }

  /** Starts nothing new; what is under way may still be answered. */
  drain(): void {
    this.#draining = true;
  }

  /** Whether nothing is queued, being written, or unanswered. */
  get idle(): boolean {
    return !this.#writing && [...this.#types.values()].every(({ unanswered }) => unanswered.size === 0);
  }

  close(): void {
    this.#closed = true;
    this.#queue.length = 0;
    this.#unwatch();
  }

  standing(typeUrl: string, name: string): Standing | undefined {
    const state = this.#types.get(typeUrl);
    if (state?.pending.has(name)) return { kind: 'pending' };
    const rejected = state?.rejected.get(name);
    if (rejected !== undefined) return { kind: 'rejected', ...rejected };
    const version = state?.subscription.knownVersion(name);
    return version === undefined ? undefined : { kind: 'accepted', version };
  }

  status(): StreamStatus {
    const types = [...this.#types].map(([typeUrl, { subscription, unanswered, rejected }]) => ({
      typeUrl,
      wildcard: subscription.wildcard,
      named: subscription.named,
      sent: subscription.size,
      unanswered: unanswered.size,
      rejected: new Map([...rejected].map(([name, { reason }]) => [name, reason])),
    }));
    return { view: this.view, peer: this.#call.getPeer(), types };
  }

  #state(typeUrl: string): TypeState {
    const existing = this.#types.get(typeUrl);
    if (existing !== undefined) return existing;
    const state: TypeState = {
      subscription: new Subscription(),
      unanswered: new Map(),
      pending: new Set(),
      rejected: new Map(),
    };
    this.#types.set(typeUrl, state);
    return state;
  }

  #answered(typeUrl: string, state: TypeState, request: DeltaDiscoveryRequest): void {
    const delta = state.unanswered.get(request.responseNonce);
    // Who answers what was not sent yet would make the queue grow without reading it.
    if (delta === undefined || Number(request.responseNonce) > this.#sent) return;
    state.unanswered.delete(request.responseNonce);
    const rejected = request.errorDetail?.message.slice(0, MAX_REASON);
    for (const { name, version } of delta.upserts) {
      state.pending.delete(name);
      if (rejected !== undefined) state.rejected.set(name, { version, reason: rejected });
      else state.rejected.delete(name);
    }
    for (const name of delta.removes) state.rejected.delete(name);
    const upserts = delta.upserts.map(({ name, version }) => ({ name, version }));
    this.#onAnswer({ view: this.view, typeUrl, upserts, removes: delta.removes, rejected });
  }

  #onCommit(changed: ChangedNames): void {
    for (const [typeUrl, names] of changed) this.#types.get(typeUrl)?.subscription.markChanged(names);
    this.#flush();
  }

  /** Queues an update for each type that has news and none under way. */
  #flush(): void {
    if (this.#closed || this.#draining || !this.#cache.hasView(this.view)) return;
    for (const [typeUrl, state] of this.#inOrder()) {
      if (state.unanswered.size > 0) continue;
      const delta = state.subscription.take({
        get: (name) => this.#cache.get(this.view, typeUrl, name),
        names: () => this.#cache.names(this.view, typeUrl),
      });
      if (delta === undefined) continue;
      this.#enqueue(typeUrl, state, delta);
      for (const key of delta.upserts.flatMap(this.#resendWith)) {
        this.#types.get(key.typeUrl)?.subscription.resend(key.name);
      }
    }
    this.#pump();
  }

  #inOrder(): [string, TypeState][] {
    const rank = (typeUrl: string): number => {
      const index = this.#typeOrder.indexOf(typeUrl);
      return index < 0 ? this.#typeOrder.length : index;
    };
    return [...this.#types].sort(([a], [b]) => rank(a) - rank(b));
  }

  #enqueue(typeUrl: string, state: TypeState, delta: Delta): void {
    const parts = splitDelta(delta, this.#limits.maxPartBytes);
    const revision = String(this.#cache.revision);
    for (const [index, part] of parts.entries()) {
      this.#nonce += 1;
      const nonce = String(this.#nonce);
      const systemVersionInfo = formatPosition({ revision, part: index + 1, parts: parts.length });
      state.unanswered.set(nonce, part);
      for (const { name } of part.upserts) state.pending.add(name);
      this.#queue.push({ typeUrl, systemVersionInfo, nonce, delta: part });
    }
  }

  /** Writes one response at a time: the next is encoded only when the transport took the last. */
  #pump(): void {
    const part = this.#writing ? undefined : this.#queue.shift();
    if (part === undefined || this.#closed) return;
    this.#writing = true;
    this.#sent = Number(part.nonce);
    this.#call.write(encode(part), () => {
      this.#writing = false;
      this.#pump();
    });
  }
}

function encode({ typeUrl, systemVersionInfo, nonce, delta }: Part): DeltaDiscoveryResponse {
  const resources = delta.upserts.map(({ name, version, bytes }) => ({
    name,
    version,
    aliases: [],
    resource: { typeUrl, value: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) },
  }));
  return {
    systemVersionInfo,
    typeUrl,
    nonce,
    resources,
    removedResources: [...delta.removes],
    removedResourceNames: [],
  };
}
