import http from 'node:http';
import https from 'node:https';
import { asError, KubeError } from '../errors.ts';
import type { Connection } from './credentials.ts';
import { DeadlineExceeded } from './deadline.ts';

export interface WireRequest {
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly contentType?: string;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

/** Sends one request and resolves with its response once the headers are there; a refusal is a {@link KubeError}. */
export async function send(connection: Connection, request: WireRequest): Promise<http.IncomingMessage> {
  try {
    return await attempt(connection, request);
  } catch (error) {
    // The server may close an idle connection in the very moment in which it is used again (RFC 9112, 9.3.1).
    if (error instanceof StaleConnection && request.method !== 'POST') return await attempt(connection, request);
    throw error;
  }
}

/** A connection that was kept alive turned out to be closed. */
class StaleConnection extends KubeError {}

function attempt(connection: Connection, request: WireRequest): Promise<http.IncomingMessage> {
  const url = new URL(connection.server);
  url.pathname = url.pathname.replace(/\/$/, '') + request.path;
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
  const headers: http.OutgoingHttpHeaders = {
    Accept: 'application/json',
    'User-Agent': 'kopf-ts',
    ...connection.headers,
  };
  if (body !== undefined) {
    headers['Content-Type'] = request.contentType ?? 'application/json';
    headers['Content-Length'] = body.length;
  }
  const options: https.RequestOptions = { method: request.method, headers, agent: connection.agent };
  if (request.signal !== undefined) options.signal = request.signal;
  return new Promise((resolve, reject) => {
    const sent = (url.protocol === 'http:' ? http : https).request(url, options);
    sent.once('response', resolve);
    // Stays attached: a socket that fails later must not become an uncaught error.
    sent.on('error', (error: NodeJS.ErrnoException) => {
      const failure = connectionLost(error, `${request.method} ${request.path}`, request.signal);
      const stale = sent.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      reject(stale && !request.signal?.aborted ? new StaleConnection(failure) : failure);
    });
    sent.end(body);
  });
}

/** The whole body as text; a body that ends early is a {@link KubeError}. */
export async function readText(response: http.IncomingMessage, what: string, signal?: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk);
  } catch (thrown) {
    throw connectionLost(thrown, what, signal);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** A failed exchange as a {@link KubeError}, told apart: cut, given up on purpose, or too late. */
export function connectionLost(thrown: unknown, what: string, signal: AbortSignal | undefined): KubeError {
  if (thrown instanceof KubeError) return thrown;
  const cause = asError(thrown);
  const init = { status: 0, cause };
  if (signal?.aborted && signal.reason instanceof DeadlineExceeded) {
    return new KubeError({ ...init, reason: 'Timeout', message: signal.reason.message });
  }
  if (signal?.aborted) return new KubeError({ ...init, reason: 'Aborted', message: `${what}: given up` });
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : 'connection lost';
  return new KubeError({ ...init, reason: 'ConnectionLost', message: `${what}: ${cause.message || code}` });
}
