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
    ['rr-same', 'rr-cross', 'crr-same', 'crr-cross', 'bulk-same', 'bulk-cross', 'crr-service', 'cost'],
    async () => (await import('./datapath/suite.ts')).runCase,
  ),
  control: lazy(
    "from the API server's answer to a policy's write until the kernels of both nodes hold it",
    ['apply-to-kernel'],
    async () => (await import('./control/suite.ts')).runCase,
  ),
  compile: lazy(
    'the compiler on a cluster of 5,000 nodes: its load, and one change',
    ['load', 'pod', 'endpoint', 'policy', 'policy-everywhere'],
    async () => (await import('./compile/suite.ts')).runCase,
  ),
  l7: lazy(
    "requests through the node's Envoy, against two sidecars with mutual TLS, a bare Envoy, and none",
    ['shared-vs-bare', 'shared-vs-sidecars', 'p50-added', 'no-rule', 'record-cost', 'route-change'],
    async () => (await import('./l7/suite.ts')).runCase,
  ),
  memory: lazy(
    'RSS and PSS of the processes; the agent with 100 pods and 10,000 Services, and idle',
    ['agent', 'agent-idle', 'operator'],
    async () => (await import('./memory/suite.ts')).runCase,
  ),
  start: lazy(
    "the agent's process start on an empty bpffs until the kernel holds the state of 100 pods",
    ['agent'],
    async () => (await import('./start/suite.ts')).runCase,
  ),
};
