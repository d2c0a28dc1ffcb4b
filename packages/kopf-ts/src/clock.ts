/** Time as the SDK sees it. Tests inject a virtual one; nothing else in this package reads a clock. */
export interface Clock {
  /** Wall time in milliseconds since the epoch: for timestamps that others read. */
  now(): number;
  /** Milliseconds that only ever grow: for measuring durations. */
  monotonic(): number;
  /** Calls `callback` once after `ms`; the returned function cancels it. */
  after(ms: number, callback: () => void): () => void;
}

/** Node cuts longer timers to 1 ms; nothing here needs to sleep for more than 24 days. */
const longestTimerMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(0, ms), longestTimerMs));
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms`, or as soon as `signal` aborts: the caller looks at the signal afterwards. Never rejects. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** A number in [0, 1); injected so that jitter is reproducible in tests. */
export type Random = () => number;
