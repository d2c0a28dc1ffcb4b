import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from '@envoyproxy/xds-protos/envoy/service/discovery/v3/discovery.ts';
import { DeltaDiscoveryRequest as DeltaRequest } from '@envoyproxy/xds-protos/envoy/service/discovery/v3/discovery.ts';
import { type ClientDuplexStream, status } from '@grpc/grpc-js';
import { reasonOf } from './errors.ts';
import { Assembler, type Part, parsePosition, type Update } from './parts.ts';
import { type Resource, WILDCARD } from './resource.ts';

export type ClientCall = ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

/** What to subscribe to. */
export interface TypeSubscription {
  readonly typeUrl: string;
  /** Names to subscribe to one by one; all resources of the type if left out. */
  readonly names?: readonly string[];
}

/** Everything that one update changes; to be applied as a whole. */
export interface ClientBatch {
  readonly typeUrl: string;
  readonly upserts: readonly Resource[];
  readonly deletes: readonly string[];
  /** The first batch of this type on this stream: after it the client holds all that the server has. */
  readonly complete: boolean;
}

/** Name to version, by type URL: what the client has, for resuming at any replica. */
export type HeldVersions = Map<string, Map<string, string>>;

export interface SessionOptions {
  readonly call: ClientCall;
  readonly node: { readonly id: string; readonly cluster?: string };
  readonly subscriptions: readonly TypeSubscription[];
  readonly held: HeldVersions;
  readonly maxUpdateBytes: number;
  readonly onBatch: (batch: ClientBatch) => void | Promise<void>;
  /** The server took a batch's worth of trust: it sent something valid. */
  readonly onHealthy: () => void;
}

/**
 * Subscribes and handles responses one after the other until the stream ends; resolves when the server ends it
 * in good order.
 *
 * @throws Error if the stream fails or the server breaks the protocol
 */
export async function runSession(options: SessionOptions): Promise<void> {
  const { call, subscriptions, held } = options;
  // The loop below sees errors too; without a listener those after its end would be uncaught.
  call.on('error', () => {});
  const types = new Map<string, TypeSession>();
  for (const [index, subscription] of subscriptions.entries()) {
    const { typeUrl, names = [WILDCARD] } = subscription;
    const versions = held.get(typeUrl) ?? new Map<string, string>();
    held.set(typeUrl, versions);
    types.set(typeUrl, { assembler: new Assembler(options.maxUpdateBytes), versions, complete: true });
    call.write(
      DeltaRequest.fromPartial({
        ...(index === 0 ? { node: options.node } : {}),
        typeUrl,
        resourceNamesSubscribe: [...names],
        initialResourceVersions: Object.fromEntries(versions),
      }),
    );
  }
  try {
    for await (const response of call) await receive(options, types, response);
  } finally {
    call.cancel();
  }
}

interface TypeSession {
  readonly assembler: Assembler;
  readonly versions: Map<string, string>;
  complete: boolean;
}

async function receive(
  options: SessionOptions,
  types: ReadonlyMap<string, TypeSession>,
  response: DeltaDiscoveryResponse,
): Promise<void> {
  const { call } = options;
  const { typeUrl } = response;
  const type = types.get(typeUrl);
  if (type === undefined) throw new Error(`the server sent type "${typeUrl}", which was not asked for`);
  const update = type.assembler.add(parseResponse(response));
  if (update === undefined) return;

  let problem: string | undefined;
  try {
    rejectAmbiguous(update);
    await options.onBatch({
      typeUrl,
      upserts: update.upserts,
      deletes: update.removes,
      complete: type.complete,
    });
    for (const name of update.removes) type.versions.delete(name);
    for (const { name, version } of update.upserts) type.versions.set(name, version);
    options.onHealthy();
  } catch (thrown) {
    problem = reasonOf(thrown);
  }
  type.complete = false;
  for (const responseNonce of update.nonces) {
    const errorDetail = { code: status.INVALID_ARGUMENT, message: problem ?? '' };
    call.write(DeltaRequest.fromPartial({ typeUrl, responseNonce, ...(problem === undefined ? {} : { errorDetail }) }));
  }
}

/** @throws Error if a resource is not what the response says, or has no name */
function parseResponse(response: DeltaDiscoveryResponse): Part {
  const { typeUrl, nonce } = response;
  if (nonce === '') throw new Error(`the server sent a response of ${typeUrl} without a nonce`);
  const upserts = response.resources.map(({ name, version, resource }): Resource => {
    if (name === '' || resource === undefined) throw new Error(`the server sent a ${typeUrl} without name or content`);
    if (resource.typeUrl !== typeUrl) {
      throw new Error(`the server sent ${name} of type "${resource.typeUrl}" as a ${typeUrl}`);
    }
    return { name, version, typeUrl, bytes: resource.value };
  });
  return {
    typeUrl,
    nonce,
    position: parsePosition(response.systemVersionInfo),
    upserts,
    removes: response.removedResources,
  };
}

/** @throws Error if the update says two things of one name */
function rejectAmbiguous({ upserts, removes }: Update): void {
  const seen = new Set<string>();
  for (const name of [...upserts.map((upsert) => upsert.name), ...removes]) {
    if (seen.has(name)) throw new Error(`the update says two things of ${name}`);
    seen.add(name);
  }
}
