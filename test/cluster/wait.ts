import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  /** Milliseconds until the wait fails; 60 s if absent. */
  readonly timeout?: number;
  /** Milliseconds between two attempts; 50 if absent. */
  readonly every?: number;
  /** Added to the error: where to look. */
  readonly hint?: () => string;
}

/**
 * Calls `attempt` until it returns something other than undefined or false, and returns that.
 * An attempt that throws counts as "not yet"; its message is in the error when time is over.
 */
export async function until<T>(
  what: string,
  attempt: () => Promise<T | undefined | false> | T | undefined | false,
  options: WaitOptions = {},
): Promise<T> {
  const timeout = options.timeout ?? 60_000;
  const end = Date.now() + timeout;
  let last = '';
  for (;;) {
    try {
      const result = await attempt();
      if (result !== undefined && result !== false) return result;
    } catch (error) {
      if (error instanceof Fatal) throw error;
      last = error instanceof Error ? error.message : String(error);
    }
    if (Date.now() > end) {
      const hint = options.hint?.() ?? '';
      throw new Error(
        `gave up after ${Math.round(timeout / 1000)} s waiting for ${what}${last ? ` (last: ${last})` : ''}${hint ? `; ${hint}` : ''}`,
      );
    }
    await sleep(options.every ?? 50);
  }
}

/** Thrown inside an attempt to end the wait at once: more time would change nothing. */
export class Fatal extends Error {
  override readonly name = 'Fatal';
}
