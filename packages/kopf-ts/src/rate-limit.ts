import type { Clock } from './clock.ts';

/** A token bucket: `burst` at once, then `perSecond` a second. */
export class RateLimit {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #clock: Clock;
  #tokens: number;
  #at: number;

  constructor(options: { readonly perSecond: number; readonly burst: number; readonly clock: Clock }) {
    this.#perSecond = options.perSecond;
    this.#burst = options.burst;
    this.#clock = options.clock;
    this.#tokens = options.burst;
    this.#at = options.clock.monotonic();
  }

  /** Takes a token if there is one; otherwise says in how many milliseconds there will be. */
  take(): { readonly taken: true } | { readonly taken: false; readonly waitMs: number } {
    const now = this.#clock.monotonic();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
    if (this.#tokens < 1) return { taken: false, waitMs: Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1000) };
    this.#tokens -= 1;
    return { taken: true };
  }
}
