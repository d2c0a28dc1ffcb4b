/** The suites by name; each is loaded when it runs. */
import type { Result } from './result.ts';

export interface Suite {
  readonly what: string;
  readonly cases: readonly string[];
  readonly run: (one: string) => Promise<readonly Result[]>;
}

/** A suite whose module is loaded when a case of it runs. */
function lazy(
  what: string,
  cases: readonly string[],
  load: () => Promise<(one: string) => Promise<readonly Result[]>>,
): Suite {
  return { what, cases, run: async (one) => (await load())(one) };
}

export const suites: Readonly<Record<string, Suite>> = {
  datapath: lazy(
    'packets and connections with policy on, against plain veth with routing',
    ['rr-same', 'rr-cross', 'crr-same', 'crr-cross', 'bulk-same', 'bulk-cross', 'crr-service'],
    async () => (await import('./datapath/suite.ts')).runCase,
  ),
};
