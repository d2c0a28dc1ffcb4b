import {
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status,
} from '@grpc/grpc-js';
import { type Clock, RateLimit } from 'kopf-ts';
import type { PeerOf } from '../trust/peer.ts';

export interface DoorOptions {
  readonly peerOf: PeerOf;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  /** Path of the only method that is open to those without a certificate. */
  readonly openPath: string;
  readonly limits?: Partial<DoorLimits>;
}

export interface DoorLimits {
  /** Calls of the open method at once, over all clients. */
  readonly open: number;
  /** So long one of them may take, in milliseconds. */
  readonly openMs: number;
  /** Calls of one node at once. An agent has two; those of a connection that broke linger for half a minute. */
  readonly perNode: number;
}

const DEFAULT_LIMITS: DoorLimits = { open: 32, openMs: 30_000, perNode: 16 };

interface Refusal {
  readonly code: status;
  readonly details: string;
}

/** A call that was let in. */
interface Entry {
  /** After so many milliseconds the call is ended, with this status. */
  readonly endsInMs: number;
  readonly end: Refusal;
  /** Makes room for another. */
  readonly leave: () => void;
}

/**
 * Decides on a call before a byte of its messages is read, because what is read is held in memory: everybody who
 * reaches the port may knock, pods included. A call of an agent lasts no longer than the certificate that it came with.
 */
export function door(options: DoorOptions): ServerInterceptor {
  const { clock, log, openPath } = options;
  const enter = entrance(options);
  // Who knocks in vain must not fill the log either.
  const lines = new RateLimit({ perSecond: 1, burst: 20, clock });
  return ({ path }, call) => {
    let entry: Entry | undefined;
    let cancel = (): void => {};
    let over = false;
    const leave = (): void => {
      over = true;
      cancel();
      entry?.leave();
      entry = undefined;
    };
    const end = (refusal: Refusal): void => {
      if (over) return;
      leave();
      if (lines.take().taken) log(`${path} of ${call.getPeer()} refused: ${refusal.details}`);
      call.sendStatus(refusal);
    };
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, proceed) => {
            const entered = enter(call, path === openPath);
            if ('code' in entered) return end(entered);
            entry = entered;
            cancel = clock.after(entered.endsInMs, () => end(entered.end));
            proceed(metadata);
          },
          onReceiveMessage: (message, proceed) => {
            if (!over) proceed(message);
          },
          onCancel: leave,
        }),
    });
  };
}

type Enter = (call: ServerInterceptingCallInterface, open: boolean) => Entry | Refusal;

function entrance({ peerOf, clock, limits: chosen }: DoorOptions): Enter {
  const limits = { ...DEFAULT_LIMITS, ...chosen };
  const calls = new Map<string, number>();
  /** Counts a call under `key`, or tells that there are `most` already. */
  const count = (key: string, most: number): (() => void) | undefined => {
    const before = calls.get(key) ?? 0;
    if (before >= most) return undefined;
    calls.set(key, before + 1);
    return () => {
      const left = (calls.get(key) ?? 1) - 1;
      if (left > 0) calls.set(key, left);
      else calls.delete(key);
    };
  };
  return (call, open) => {
    if (open) {
      const leave = count('', limits.open);
      if (leave === undefined) {
        return { code: status.RESOURCE_EXHAUSTED, details: 'too many ask for certificates at once; try again' };
      }
      const end = { code: status.DEADLINE_EXCEEDED, details: `the request was not complete in ${limits.openMs} ms` };
      return { endsInMs: limits.openMs, end, leave };
    }
    const peer = peerOf(call);
    if ('refused' in peer) return { code: status.PERMISSION_DENIED, details: peer.refused };
    const leave = count(peer.node, limits.perNode);
    if (leave === undefined) {
      const details = `node ${peer.node} has ${limits.perNode} calls open, and may have no more; end some, or try again`;
      return { code: status.RESOURCE_EXHAUSTED, details };
    }
    const details = 'the client certificate has expired; connect with a new one';
    return { endsInMs: peer.until - clock.now(), end: { code: status.UNAUTHENTICATED, details }, leave };
  };
}
