/** Flows of all agents: those that they remember, or as they come. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClusterAccess } from '../cluster.ts';
import { execLines, podsOf, type WeftPod } from '../exec.ts';
import { agentFlags, type FlowFilter, fits, isAgents } from './filter.ts';
import { type AgentFlow, type FlowLine, flowLine, parseFlow } from './line.ts';
import { type Names, readNames } from './names.ts';
import { Resume } from './resume.ts';

export interface FlowsOptions {
  /** Milliseconds since 1970. */
  readonly since: number;
  /** Only the newest so many. */
  readonly limit?: number;
  readonly filter: FlowFilter;
  /** Sentences about what is missing. */
  readonly note: (sentence: string) => void;
}

const RETRY_MS = 1_000;
const RELIST_MS = 5_000;
/** A list of all pods is dear in a large cluster. */
const RENAME_MS = 15_000;

const commandOf = (options: FlowsOptions, since: number): string[] => [
  ...['node', '/weft/agentctl.mjs', 'flows', `--since=${since}`],
  ...agentFlags(options.filter),
];

/**
 * The flows that agents remember, by time.
 * @returns also how many agents gave no answer; each is noted
 */
export async function readFlows(
  cluster: ClusterAccess,
  options: FlowsOptions,
): Promise<{ readonly lines: readonly FlowLine[]; readonly missing: number }> {
  const { limit, filter, note } = options;
  const [names, agents] = await Promise.all([readNames(cluster.client), podsOf(cluster.client, 'weft-agent')]);
  const newest = limit !== undefined && isAgents(filter) ? [`--limit=${limit}`] : [];
  const lines: FlowLine[] = [];
  const failed = await Promise.all(
    agents.map(async ({ name, node }) => {
      try {
        await execLines(cluster.config, name, 'agent', [...commandOf(options, options.since), ...newest], (text) => {
          const line = flowLine(parseFlow(text), names);
          if (fits(line, filter)) lines.push(line);
        });
        return 0;
      } catch (error) {
        note(`the flows of ${node} are missing: ${messageOf(error)}`);
        return 1;
      }
    }),
  );
  const missing = failed.reduce<number>((sum, one) => sum + one, 0);
  if (missing === agents.length) throw new Error('no agent answered');
  const sorted = lines.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  return { lines: limit === undefined ? sorted : sorted.slice(Math.max(0, sorted.length - limit)), missing };
}

/** Flows as they come, until `ended`; an agent that restarts is taken up again where it was left. */
export async function followFlows(
  cluster: ClusterAccess,
  options: FlowsOptions,
  tell: (line: FlowLine) => void,
  ended: AbortSignal,
): Promise<void> {
  const names = await refreshing(cluster);
  const followed = new Map<string, Promise<void>>();
  const take = (flow: AgentFlow): void => {
    const line = flowLine(flow, names.current());
    if ([line.source, line.destination].some(({ pod, nodeName }) => pod === undefined && nodeName === undefined)) {
      names.stale();
    }
    if (fits(line, options.filter)) tell(line);
  };
  const resumes = new Map<string, Resume>();
  const start = (pod: WeftPod): void => {
    const resume = resumes.get(pod.node) ?? new Resume(options.since);
    resumes.set(pod.node, resume);
    followed.set(
      pod.name,
      followOne(cluster, options, pod, resume, take, ended).finally(() => followed.delete(pod.name)),
    );
  };
  for (const pod of await podsOf(cluster.client, 'weft-agent')) start(pod);
  while (!ended.aborted) {
    await sleep(RELIST_MS, undefined, { signal: ended }).catch(() => undefined);
    const pods = await podsOf(cluster.client, 'weft-agent').catch(() => []);
    for (const pod of pods) if (!followed.has(pod.name)) start(pod);
  }
}

/** Until the pod is gone. */
async function followOne(
  cluster: ClusterAccess,
  options: FlowsOptions,
  { name, node }: WeftPod,
  resume: Resume,
  take: (flow: AgentFlow) => void,
  ended: AbortSignal,
): Promise<void> {
  for (let told = false; !ended.aborted; ) {
    const onLine = (text: string): void => {
      if (told) options.note(`the agent of ${node} is back`);
      told = false;
      const flow = parseFlow(text);
      if (resume.isNew(flow)) take(flow);
    };
    const why = await execLines(
      cluster.config,
      name,
      'agent',
      [...commandOf(options, resume.since), '--follow'],
      onLine,
    ).then(() => 'it ended', messageOf);
    if (ended.aborted) return;
    if (!told) options.note(`the agent of ${node} is gone (${why}); its flows come again when it is back`);
    told = true;
    await sleep(RETRY_MS, undefined, { signal: ended }).catch(() => undefined);
    const pods = await podsOf(cluster.client, 'weft-agent').catch(() => undefined);
    if (pods !== undefined && !pods.some((pod) => pod.name === name)) return;
  }
}

/** Names that are read again when an address is unknown, but not too often. */
async function refreshing({ client }: ClusterAccess): Promise<{ current: () => Names; stale: () => void }> {
  let names = await readNames(client);
  let next = performance.now() + RENAME_MS;
  return {
    current: () => names,
    stale: () => {
      if (performance.now() < next) return;
      next = performance.now() + RENAME_MS;
      readNames(client).then(
        (fresh) => {
          names = fresh;
        },
        // The old names still say something.
        () => undefined,
      );
    },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
