import type http from 'node:http';
import type { KubeConfig } from '@kubernetes/client-node';
import { type Clock, type Random, sleep, systemClock } from '../clock.ts';
import { asError, KubeError } from '../errors.ts';
import { apiVersion, type Kind, type KubeObject, kindName, type ObjectRef, pathOf } from '../kind.ts';
import { type Connection, Credentials } from './credentials.ts';
import { deadline } from './deadline.ts';
import { isJson, isKubeObject, type Json, parseJson, statusError } from './status.ts';
import { readText, send, type WireRequest } from './transport.ts';
import { readEvents, type WatchEvent } from './watch-stream.ts';

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Give up a try after so many milliseconds without the whole answer; by default 30,000. */
  readonly timeoutMs?: number;
  /** How often a 429 is waited out and repeated; by default 10. */
  readonly retries?: number;
}

export interface Selection {
  /** Only this namespace; by default all. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface ListOptions extends RequestOptions, Selection {
  /** Most objects in the answer; by default all. */
  readonly limit?: number | undefined;
  /** Where the previous page said that the next one starts. */
  readonly continue?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

/** One page of a list, its objects not yet parsed by their kind. */
export interface Page {
  readonly items: readonly KubeObject[];
  readonly resourceVersion: string;
  readonly continue: string | undefined;
}

export interface WatchOptions extends Selection {
  readonly resourceVersion: string;
  /** After so many seconds the server ends the watch in an orderly way. */
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
}

export interface WriteOptions extends RequestOptions {
  readonly subresource?: 'status' | 'scale' | undefined;
}

export interface ApplyOptions extends WriteOptions {
  /** Who owns the applied fields; see server-side apply in the Kubernetes documentation. */
  readonly fieldManager: string;
  /** Take over fields that others own; by default true, as the documentation advises controllers. */
  readonly force?: boolean;
}

export interface ClientOptions {
  readonly clock?: Clock;
  readonly random?: Random;
}

/**
 * A thin typed client of the Kubernetes API: HTTP/1.1 with connections kept alive, credentials of a kubeconfig,
 * Retry-After honoured. Every error is a {@link KubeError}.
 */
export class KubeClient {
  readonly #credentials: Credentials;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(config: KubeConfig, options: ClientOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#credentials = new Credentials(config, this.#clock);
  }

  async get<T extends KubeObject>(kind: Kind<T>, ref: ObjectRef, options: RequestOptions = {}): Promise<T> {
    return this.#object(kind, { method: 'GET', path: pathOf(kind, ref) }, options);
  }

  /** One page; see {@link KubeClient.list} for all. */
  async page(kind: Kind, options: ListOptions = {}): Promise<Page> {
    const path = pathOf(kind, { namespace: options.namespace });
    const { labelSelector, fieldSelector, limit, resourceVersion } = options;
    const query = { labelSelector, fieldSelector, limit, resourceVersion, continue: options.continue };
    const body = await this.#json({ method: 'GET', path, query }, options);
    return pageOf(body, `list ${kindName(kind)}`);
  }

  /** All objects of a kind, in pages of 500. An empty result is an empty list, never an error. */
  async list<T extends KubeObject>(kind: Kind<T>, options: Omit<ListOptions, 'continue'> = {}): Promise<T[]> {
    const objects: T[] = [];
    let next: string | undefined;
    do {
      const page = await this.page(kind, { limit: 500, ...options, continue: next });
      for (const item of page.items) objects.push(kind.parse(item));
      next = page.continue;
    } while (next !== undefined);
    return objects;
  }

  /**
   * The raw stream of a watch, bookmarks on. Each element holds the events that arrived together. Ends when the server
   * ends it; throws a {@link KubeError} if it was refused or cut.
   */
  async *watch(kind: Kind, options: WatchOptions): AsyncGenerator<readonly WatchEvent[]> {
    const { labelSelector, fieldSelector, resourceVersion, timeoutSeconds, signal } = options;
    const path = pathOf(kind, { namespace: options.namespace });
    const query = {
      watch: true,
      allowWatchBookmarks: true,
      labelSelector,
      fieldSelector,
      resourceVersion,
      timeoutSeconds,
    };
    const what = `watch ${kindName(kind)}`;
    const limit = deadline(this.#clock, signal);
    try {
      // Headers arrive at once, so a server that does not even answer is noticed long before the watch would end.
      limit.set(30_000, `${what}: no answer within 30 s`);
      const response = await this.#send({ method: 'GET', path, query, signal: limit.signal });
      // The server's end of the watch may get lost on the way; without this we would wait for ever.
      const end = this.#clock.monotonic() + timeoutSeconds * 1000 + 30_000;
      const remaining = (): number => end - this.#clock.monotonic();
      limit.set(remaining(), `${what}: the server did not end it in time`);
      try {
        yield* readEvents(response, what, { deadline: limit, remaining });
      } finally {
        response.destroy();
      }
    } finally {
      limit.clear();
    }
  }

  /** Creates `object`; a {@link KubeError} with `isAlreadyExists` if there is one of that name. */
  async create<T extends KubeObject>(kind: Kind<T>, object: T, options: RequestOptions = {}): Promise<T> {
    const path = pathOf(kind, { namespace: object.metadata.namespace });
    return this.#object(kind, { method: 'POST', path, body: typed(kind, object) }, options);
  }

  /** Replaces the whole object; with `metadata.resourceVersion` only if nobody else changed it since (`isConflict`). */
  async replace<T extends KubeObject>(kind: Kind<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const path = pathOf(kind, { ...object.metadata, subresource: options.subresource });
    return this.#object(kind, { method: 'PUT', path, body: typed(kind, object) }, options);
  }

  /** Server-side apply. Fields that this `fieldManager` applied before and leaves out now are removed. */
  async apply<T extends KubeObject>(kind: Kind<T>, object: KubeObject & Json, options: ApplyOptions): Promise<T> {
    const path = pathOf(kind, { ...object.metadata, subresource: options.subresource });
    const query = { fieldManager: options.fieldManager, force: options.force ?? true };
    const contentType = 'application/apply-patch+yaml';
    return this.#object(kind, { method: 'PATCH', path, query, contentType, body: typed(kind, object) }, options);
  }

  /** JSON merge patch (RFC 7386). With `metadata.resourceVersion` in it the API server refuses it after other changes. */
  async patch<T extends KubeObject>(
    kind: Kind<T>,
    ref: ObjectRef,
    patch: Json,
    options: WriteOptions = {},
  ): Promise<T> {
    const path = pathOf(kind, { ...ref, subresource: options.subresource });
    const contentType = 'application/merge-patch+json';
    return this.#object(kind, { method: 'PATCH', path, contentType, body: patch }, options);
  }

  /** Merges `status` into the object's status subresource. */
  async patchStatus<T extends KubeObject>(
    kind: Kind<T>,
    ref: ObjectRef,
    status: Json,
    options: RequestOptions = {},
  ): Promise<T> {
    return this.patch(kind, ref, { status }, { ...options, subresource: 'status' });
  }

  /** Asks for deletion; deleting what is absent is no error. */
  async delete(
    kind: Kind,
    ref: ObjectRef,
    options: RequestOptions & {
      readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
      readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
    } = {},
  ): Promise<void> {
    const { propagationPolicy, preconditions } = options;
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy, preconditions };
    try {
      await this.#json({ method: 'DELETE', path: pathOf(kind, ref), body }, options);
    } catch (error) {
      if (!(error instanceof KubeError && error.isNotFound)) throw error;
    }
  }

  /** Any other call of the API, for example `POST …/serviceaccounts/NAME/token`. */
  async raw(request: Omit<WireRequest, 'signal'>, options: RequestOptions = {}): Promise<Json> {
    return this.#json(request, options);
  }

  /** Closes all connections. */
  close(): void {
    this.#credentials.close();
  }

  async #object<T extends KubeObject>(kind: Kind<T>, request: WireRequest, options: RequestOptions): Promise<T> {
    const body = await this.#json(request, options);
    if (isKubeObject(body)) return kind.parse(body);
    const message = `${request.method} ${request.path}: the answer is not a Kubernetes object`;
    throw new KubeError({ status: 0, reason: 'BadResponse', message });
  }

  async #json(request: WireRequest, options: RequestOptions): Promise<Json> {
    const retries = options.retries ?? 10;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#exchange(request, options);
      } catch (error) {
        if (!(error instanceof KubeError) || error.status !== 429 || attempt >= retries) throw error;
        // Everyone was told the same Retry-After: the jitter on top keeps them from coming back together.
        const delay = (error.retryAfterMs ?? 1000) * (1 + 0.5 * this.#random());
        await sleep(this.#clock, delay, options.signal);
        if (options.signal?.aborted) throw error;
      }
    }
  }

  async #exchange(request: WireRequest, options: RequestOptions): Promise<Json> {
    const what = `${request.method} ${request.path}`;
    const timeoutMs = options.timeoutMs ?? 30_000;
    const limit = deadline(this.#clock, options.signal);
    limit.set(timeoutMs, `${what}: no answer within ${timeoutMs / 1000} s`);
    try {
      const response = await this.#send({ ...request, signal: limit.signal });
      return parseJson(await readText(response, what, limit.signal), what);
    } finally {
      limit.clear();
    }
  }

  /** Sends with current credentials, and once more with fresh ones if they were refused. */
  async #send(request: WireRequest): Promise<http.IncomingMessage> {
    for (let attempt = 0; ; attempt++) {
      const connection = await this.#connection();
      const response = await send(connection, request);
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) return response;
      const what = `${request.method} ${request.path}`;
      const error = await refusal(response, what, status, request.signal);
      if (status !== 401) throw error;
      this.#credentials.renew(connection);
      if (attempt > 0) throw error;
    }
  }

  async #connection(): Promise<Connection> {
    try {
      return await this.#credentials.connection();
    } catch (thrown) {
      const cause = asError(thrown);
      const message = `credentials of the kubeconfig: ${cause.message}`;
      throw new KubeError({ status: 0, reason: 'NoCredentials', message, cause });
    }
  }
}

async function refusal(
  response: http.IncomingMessage,
  what: string,
  status: number,
  signal: AbortSignal | undefined,
): Promise<KubeError> {
  const text = await readText(response, what, signal);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  return statusError(what, status, body, response.headers);
}

function typed(kind: Kind, object: KubeObject): KubeObject {
  return { ...object, apiVersion: apiVersion(kind), kind: kind.kind };
}

function pageOf(body: Json, what: string): Page {
  const metadata = isJson(body.metadata) ? body.metadata : {};
  // Go writes an empty list as null.
  const items = body.items === null ? [] : body.items;
  const { resourceVersion } = metadata;
  // One that can't be read must not pass for one that is gone.
  if (!Array.isArray(items) || !items.every(isKubeObject) || typeof resourceVersion !== 'string') {
    throw new KubeError({ status: 0, reason: 'BadResponse', message: `${what}: the answer is not a list` });
  }
  const token = metadata.continue;
  return {
    items,
    resourceVersion,
    continue: typeof token === 'string' && token !== '' ? token : undefined,
  };
}
