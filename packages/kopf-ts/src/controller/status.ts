import { createHash } from 'node:crypto';
import type { KubeClient } from '../client/client.ts';
import { isJson, type Json } from '../client/status.ts';
import { type Clock, sleep, systemClock } from '../clock.ts';
import { type Kind, type KubeObject, keyOf, kindName } from '../kind.ts';
import type { RateLimit } from '../rate-limit.ts';
import { type Condition, type ConditionInput, conditionsOf, nextConditions } from './conditions.ts';

export interface StatusWriterOptions {
  readonly client: KubeClient;
  /** Owner of the fields that are written. */
  readonly fieldManager: string;
  /** A cap on writes shared by all that use it; by default none. */
  readonly limit?: RateLimit;
  readonly clock?: Clock;
  /** How many objects' last writes are remembered; by default 10,000. */
  readonly remembered?: number;
}

/** What a controller wants an object's status to say: conditions and any other fields of `status`. */
export interface DesiredStatus {
  readonly conditions?: readonly ConditionInput[];
  readonly fields?: Json;
}

interface Written {
  readonly hash: string;
  readonly conditions: readonly Condition[];
  /** Of the object as it came back from the write. */
  readonly resourceVersion: string | undefined;
}

/**
 * Writes statuses by server-side apply, and only if there is something new: what equals the object's status, or our
 * own last write that the store has not seen yet, is not written again.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #clock: Clock;
  readonly #written = new Map<string, Written>();

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Resolves with whether a write was needed. */
  async write<T extends KubeObject & { readonly status?: unknown }>(
    kind: Kind<T>,
    object: T,
    desired: DesiredStatus,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const { generation, uid } = object.metadata;
    const id = uid ?? `${kindName(kind)}/${keyOf(object.metadata)}`;
    const last = this.#written.get(id);
    const unseen = last !== undefined && isOlder(object.metadata.resourceVersion, last.resourceVersion);
    const previous = unseen ? last.conditions : conditionsOf(object);
    const conditions = nextConditions(previous, desired.conditions ?? [], generation, this.#clock.now());
    const status = { ...desired.fields, ...(desired.conditions === undefined ? {} : { conditions }) };
    const hash = hashOf(status);
    if (unseen ? last.hash === hash : contains(object.status, status)) return false;
    await this.#permission(signal);
    if (signal?.aborted) return false;
    const { client, fieldManager } = this.#options;
    const metadata = { name: object.metadata.name, namespace: object.metadata.namespace };
    const patch = { metadata: withoutUndefined(metadata), status };
    const stored = await client.apply(kind, patch, { fieldManager, subresource: 'status', signal });
    this.#remember(id, { hash, conditions, resourceVersion: stored.metadata.resourceVersion });
    return true;
  }

  async #permission(signal: AbortSignal | undefined): Promise<void> {
    for (let answer = this.#options.limit?.take(); answer?.taken === false; answer = this.#options.limit?.take()) {
      await sleep(this.#clock, answer.waitMs, signal);
      if (signal?.aborted) return;
    }
  }

  #remember(id: string, written: Written): void {
    this.#written.delete(id);
    this.#written.set(id, written);
    const oldest = this.#written.keys().next().value;
    // Forgetting costs at most one write that changes nothing.
    if (this.#written.size > (this.#options.remembered ?? 10_000) && oldest !== undefined) this.#written.delete(oldest);
  }
}

function withoutUndefined(metadata: {
  readonly name: string;
  readonly namespace: string | undefined;
}): KubeObject['metadata'] {
  const { name, namespace } = metadata;
  return namespace === undefined ? { name } : { name, namespace };
}

/**
 * Whether `version` comes before `other`. Resource versions of the API server's own storage are numbers that grow
 * (KEP-5504); of others nothing is assumed.
 */
function isOlder(version: string | undefined, other: string | undefined): boolean {
  if (version === undefined || other === undefined || !/^\d+$/.test(version) || !/^\d+$/.test(other)) return false;
  return BigInt(version) < BigInt(other);
}

/** Whether everything that `wanted` says is said by `actual` already; objects may have more fields, lists not. */
function contains(actual: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(actual) && actual.length === wanted.length && wanted.every((item, i) => contains(actual[i], item))
    );
  }
  if (isJson(wanted)) {
    return (
      isJson(actual) &&
      Object.entries(wanted).every(([key, value]) => value === undefined || contains(actual[key], value))
    );
  }
  return actual === wanted;
}

/** A hash that does not depend on the order of fields. */
function hashOf(value: unknown): string {
  const sorted = JSON.stringify(value, (_, inner: unknown) =>
    isJson(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
  return createHash('sha256').update(sorted).digest('base64');
}
