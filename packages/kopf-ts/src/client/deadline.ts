import type { Clock } from '../clock.ts';

/** An abort signal that follows another one and can also run out. */
export interface Deadline {
  readonly signal: AbortSignal;
  /** Aborts after `ms` from now instead of at the time set before; `undefined` means never. */
  set(ms: number | undefined, message: string): void;
  /** Must be called when the request is over: it lets go of the parent signal and the timer. */
  clear(): void;
}

/** Unlike `AbortSignal.any` this leaves no listener behind on a parent that lives as long as the process. */
export function deadline(clock: Clock, parent: AbortSignal | undefined): Deadline {
  const controller = new AbortController();
  const follow = (): void => controller.abort(parent?.reason);
  let cancel: (() => void) | undefined;
  if (parent?.aborted) follow();
  else parent?.addEventListener('abort', follow, { once: true });
  return {
    signal: controller.signal,
    set(ms, message) {
      cancel?.();
      cancel = ms === undefined ? undefined : clock.after(ms, () => controller.abort(new DeadlineExceeded(message)));
    },
    clear() {
      cancel?.();
      parent?.removeEventListener('abort', follow);
    },
  };
}

/** The abort reason of a deadline that ran out. */
export class DeadlineExceeded extends Error {
  override readonly name = 'DeadlineExceeded';
}
