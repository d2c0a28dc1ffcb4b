/** The suites by name; each is loaded when it runs. */
import type { Result } from './result.ts';

export interface Suite {
  readonly what: string;
  readonly cases: readonly string[];
  readonly run: (one: string) => Promise<readonly Result[]>;
}

export const suites: Readonly<Record<string, Suite>> = {};
