/** What the suites ask of the node that they made. */

export interface NodeConfig {
  /** Scratch directory. */
  readonly dir: string;
  /** agent.mjs, with the addon and the CNI binary beside it. */
  readonly program: string;
  readonly cgroup: string;
  readonly pods: number;
  readonly services: number;
}

/** `rows`: how many rows a settled agent holds, by table. The others replace the process that runs by another one and
 * tell how long it took (`ms`), or what it holds of memory (`rss`, `pss`, MiB). */
export type Request = 'rows' | 'agent-start' | 'bare-start' | 'agent-memory' | 'bare-memory';
