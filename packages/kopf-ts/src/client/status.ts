import type { IncomingHttpHeaders } from 'node:http';
import { KubeError } from '../errors.ts';
import type { KubeObject } from '../kind.ts';

/** A JSON object whose fields are not known yet. */
export type Json = Readonly<Record<string, unknown>>;

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether `value` has what every Kubernetes object has; the kind's own `parse` may look closer. */
export function isKubeObject(value: unknown): value is KubeObject {
  return isJson(value) && isJson(value.metadata) && typeof value.metadata.name === 'string';
}

/** Parses a response's body, or explains what came instead. */
export function parseJson(text: string, what: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new KubeError({ status: 0, reason: 'BadResponse', message: `${what}: the answer is not JSON`, cause });
  }
  if (isJson(value)) return value;
  throw new KubeError({ status: 0, reason: 'BadResponse', message: `${what}: the answer is not a JSON object` });
}

/**
 * A `metav1.Status` (or whatever a proxy on the way answered instead) as an error.
 * @param status HTTP status, or undefined for a Status that came as a watch event
 */
export function statusError(
  what: string,
  status: number | undefined,
  body: unknown,
  headers?: IncomingHttpHeaders,
): KubeError {
  const fields = isJson(body) ? body : {};
  const details = isJson(fields.details) ? fields.details : {};
  const code = status ?? (typeof fields.code === 'number' ? fields.code : 0);
  const seconds = retryAfterSeconds(headers) ?? details.retryAfterSeconds;
  const message = typeof fields.message === 'string' ? fields.message : `answered with HTTP status ${code}`;
  return new KubeError({
    status: code,
    reason: typeof fields.reason === 'string' ? fields.reason : 'Unknown',
    message: `${what}: ${message}`,
    causes: causesOf(details.causes),
    ...(typeof seconds === 'number' && seconds >= 0 ? { retryAfterMs: seconds * 1000 } : {}),
  });
}

/** `Retry-After` in seconds; the API server never sends the date form (RFC 9110, 10.2.3). */
function retryAfterSeconds(headers: IncomingHttpHeaders | undefined): number | undefined {
  const value = headers?.['retry-after'];
  return value !== undefined && /^\d{1,6}$/.test(value) ? Number(value) : undefined;
}

function causesOf(causes: unknown): string[] {
  if (!Array.isArray(causes)) return [];
  return causes.flatMap((cause: unknown) => (isJson(cause) && typeof cause.reason === 'string' ? [cause.reason] : []));
}
