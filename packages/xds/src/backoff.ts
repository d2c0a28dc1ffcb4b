export interface BackoffOptions {
  /** Longest first wait. */
  readonly initialMs: number;
  /** Longest wait at all. */
  readonly maxMs: number;
}

/** Exponential backoff; each wait is drawn from the upper half of its range, so that clients spread. */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: () => number;
  #failures = 0;

  constructor(options: BackoffOptions, random: () => number = Math.random) {
    this.#options = options;
    this.#random = random;
  }

  /** How long to wait now, in milliseconds; longer each time until `reset`. */
  next(): number {
    const { initialMs, maxMs } = this.#options;
    const longest = Math.min(maxMs, initialMs * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    return longest * (0.5 + this.#random() / 2);
  }

  reset(): void {
    this.#failures = 0;
  }
}
