import { inspect } from 'node:util';

/** Where in the SDK an error arose; `onError` handlers and metrics get it as a label. */
export type Step = 'list' | 'watch' | 'parse' | 'subscriber' | 'reconcile' | 'event' | 'lease' | 'status' | 'stop';

/** An error that the SDK survived, with the step that failed and the thing it concerns. */
export interface Failure {
  readonly step: Step;
  /** Which kind, controller, lease or object; for people. */
  readonly subject: string;
  readonly error: Error;
}

/** Receives each survived error. Must not throw. */
export type OnError = (failure: Failure) => void;

/** The default `onError`: one line a failure on stderr. */
export const logFailure: OnError = ({ step, subject, error }) => {
  console.error(`${step} ${subject}: ${error.message}`);
};

export interface KubeErrorInit {
  readonly status: number;
  readonly reason: string;
  readonly message: string;
  readonly retryAfterMs?: number | undefined;
  readonly causes?: readonly string[];
  readonly cause?: unknown;
}

/** Any failed request: refused by the API server, or lost on the way (`status` 0). */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status; 0 if there was no answer. */
  readonly status: number;
  /** `reason` of the `metav1.Status`, or `ConnectionLost`, `Timeout`, `BadResponse`. */
  readonly reason: string;
  /** How long the server asked to be left alone, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** `details.causes[].reason` of the `metav1.Status`. */
  readonly causes: readonly string[];

  constructor(init: KubeErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.status = init.status;
    this.reason = init.reason;
    this.retryAfterMs = init.retryAfterMs;
    this.causes = init.causes ?? [];
  }

  /** The history that the request wants to go on from is gone: list again. */
  get isExpired(): boolean {
    // A version from the future means that etcd was restored from a backup: our history is no longer the server's.
    return this.status === 410 || this.reason === 'Expired' || this.causes.includes('ResourceVersionTooLarge');
  }

  get isNotFound(): boolean {
    return this.status === 404;
  }

  get isConflict(): boolean {
    return this.status === 409 && this.reason !== 'AlreadyExists';
  }

  get isAlreadyExists(): boolean {
    return this.status === 409 && this.reason === 'AlreadyExists';
  }
}

/** Thrown by a handler: try this key again after `delayMs`; not counted as a failure, not logged as one. */
export class TemporaryError extends Error {
  override readonly name = 'TemporaryError';
  readonly delayMs: number;
  constructor(message: string, delayMs = 60_000) {
    super(message);
    this.delayMs = delayMs;
  }
}

/** Thrown by a handler: do not try this key again until one of its objects changes. */
export class PermanentError extends Error {
  override readonly name = 'PermanentError';
}

/** Whatever was thrown, as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(typeof thrown === 'string' ? thrown : inspect(thrown));
}
