/** Errors as sentences that say what to do. */
import { KubeError } from 'kopf-ts';

/** The command was not understood, asks for something that can't be, or may not: to try again does not help. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @param server what the kubeconfig calls the API server's address */
export function sentenceOf(thrown: unknown, server?: string): string {
  if (!(thrown instanceof Error)) return String(thrown);
  if (!(thrown instanceof KubeError)) return thrown.message;
  const { message } = thrown;
  if (thrown.status === 401)
    return `${message}; the cluster does not know these credentials: log in again, or choose another --context`;
  if (thrown.status === 403)
    return `${message}; ask whoever runs the cluster for that right, or choose another --context`;
  if (thrown.reason === 'ConnectionLost' || thrown.reason === 'Timeout') {
    return `${message}; the API server${server === undefined ? '' : ` ${server}`} can't be reached: is the cluster up, and is it the one meant (--kubeconfig, --context)?`;
  }
  return message;
}

/** Of an exec: the answer to a WebSocket handshake is known by its text only. */
export function execFailure(pod: string, detail: string): Error {
  if (/\b403\b/.test(detail)) {
    return new UsageError(
      `may not run a command in pod weft-system/${pod}: the right to create pods/exec there is needed; ask whoever runs the cluster`,
    );
  }
  if (/\b401\b/.test(detail)) {
    return new UsageError(
      `${pod}: the cluster does not know these credentials: log in again, or choose another --context`,
    );
  }
  return new Error(`can't run a command in pod weft-system/${pod}: ${detail}`);
}
