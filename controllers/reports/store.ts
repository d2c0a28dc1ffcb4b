import type { NodeCondition, NodeReport } from '@weft/node-api';

/** What one node last said, over all its streams. */
export interface NodeStatus {
  readonly node: string;
  /** Whether a stream of reports is open. */
  readonly connected: boolean;
  readonly agentVersion: string;
  /** The agent holds a complete state of its node. */
  readonly synced: boolean;
  /** The version that the kernel holds, read back, by resource name. */
  readonly versions: ReadonlyMap<string, string>;
  /** Why the newest version of a resource could not be applied, by its name. */
  readonly errors: ReadonlyMap<string, string>;
  readonly conditions: readonly NodeCondition[];
}

export type ReportListener = (node: string) => void;

/** Most resources that one node may report of: 250 pods and their policy sets, and errors, are far fewer. */
export const MAX_REPORTED = 100_000;
const MAX_SENTENCE = 2048;
/** Longest name of a resource, of a version or of a condition, in characters: those that we serve are far shorter. */
const MAX_NAME = 512;
const MAX_CONDITIONS = 64;

interface Held {
  stream: object | undefined;
  agentVersion: string;
  synced: boolean;
  readonly versions: Map<string, string>;
  readonly errors: Map<string, string>;
  conditions: readonly NodeCondition[];
}

/** Thrown for a report that can't be accepted; the message is for the agent. */
export class BadReport extends Error {
  override readonly name = 'BadReport';
}

/**
 * What the nodes enforce, as they say. A node that went away keeps what it said last: what is pinned in its kernel
 * goes on without its agent.
 */
export class ReportStore {
  readonly #nodes = new Map<string, Held>();
  readonly #listeners = new Set<ReportListener>();

  /** `listener` is told of each node that says something new, or comes or goes; must not throw. */
  subscribe(listener: ReportListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get(node: string): NodeStatus | undefined {
    const held = this.#nodes.get(node);
    return held === undefined ? undefined : { ...held, node, connected: held.stream !== undefined };
  }

  /** Nodes that ever reported. */
  nodes(): string[] {
    return [...this.#nodes.keys()].sort();
  }

  /**
   * Takes in a report; `stream` is any object that stands for the stream that it came on.
   * @throws BadReport if it can't be: the first report of a stream must be full, and what a node may fill is bounded
   */
  receive(node: string, stream: object, report: NodeReport): void {
    checkSizes(report);
    const known = this.#nodes.get(node);
    const continues = known !== undefined && known.stream === stream;
    if (!continues && !report.full) throw new BadReport('the first report of a stream must be full');
    // An agent that lost its connection may have opened the next one before we saw the end of the last.
    const held = continues && !report.full ? known : emptyReport(stream, report.agentVersion);
    for (const { name, version, error } of report.resources) {
      if (version === '') held.versions.delete(name);
      else held.versions.set(name, version);
      if (error === '') held.errors.delete(name);
      else held.errors.set(name, error.slice(0, MAX_SENTENCE));
    }
    if (held.versions.size + held.errors.size > MAX_REPORTED) {
      throw new BadReport(`a node may report of ${MAX_REPORTED} resources at most`);
    }
    if (report.full || report.conditions.length > 0) held.conditions = report.conditions.map(cut);
    held.synced = report.synced;
    this.#nodes.set(node, held);
    this.#tell(node);
  }

  /** The stream ended. */
  disconnect(node: string, stream: object): void {
    const held = this.#nodes.get(node);
    if (held?.stream !== stream) return;
    held.stream = undefined;
    this.#tell(node);
  }

  /** The node is no longer part of the cluster. */
  forget(node: string): void {
    if (this.#nodes.delete(node)) this.#tell(node);
  }

  #tell(node: string): void {
    for (const listener of [...this.#listeners]) listener(node);
  }
}

/** @throws BadReport */
function checkSizes({ agentVersion, resources, conditions }: NodeReport): void {
  if (conditions.length > MAX_CONDITIONS) throw new BadReport(`a node may have ${MAX_CONDITIONS} conditions at most`);
  const names = [
    agentVersion,
    ...resources.flatMap(({ name, version }) => [name, version]),
    ...conditions.flatMap(({ type, reason }) => [type, reason]),
  ];
  if (names.some((name) => name.length > MAX_NAME)) {
    throw new BadReport(`a name, a version or a condition's type or reason may have ${MAX_NAME} characters`);
  }
}

function cut(condition: NodeCondition): NodeCondition {
  return { ...condition, message: condition.message.slice(0, MAX_SENTENCE) };
}

function emptyReport(stream: object, agentVersion: string): Held {
  return { stream, agentVersion, synced: false, versions: new Map(), errors: new Map(), conditions: [] };
}
