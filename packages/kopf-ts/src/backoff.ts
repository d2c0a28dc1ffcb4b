import type { Random } from './clock.ts';

/** Exponential delays: `initialMs`, then `factor` times longer each time, never above `maxMs`. */
export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  readonly factor: number;
  /** Share of each delay that is random: 0.5 means between 50 % and 100 % of it. */
  readonly jitter: number;
}

export const watchBackoff: BackoffOptions = { initialMs: 200, maxMs: 30_000, factor: 2, jitter: 0.5 };
export const reconcileBackoff: BackoffOptions = { initialMs: 50, maxMs: 300_000, factor: 2, jitter: 0.25 };

/** The delay in milliseconds before attempt `attempt` (0 is the first repetition). */
export function backoffDelay(options: BackoffOptions, attempt: number, random: Random): number {
  // Beyond 64 doublings every base has long reached maxMs; the cap keeps the power finite.
  const base = Math.min(options.maxMs, options.initialMs * options.factor ** Math.min(attempt, 64));
  return base * (1 - options.jitter * random());
}
