/** A running cluster: what tests and `npm run up` hold in their hands. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { openApi, registeredNode } from './api.ts';
import { controlPlaneLaunch, controlPlaneProcesses, etcdUrl } from './control-plane.ts';
import { takeDown } from './down.ts';
import { loadImage } from './image/load.ts';
import { type Entry, openLedger, type ProcessEntry, readLedger } from './ledger.ts';
import { inNetworkOf, plugBack, routePods, unplug } from './network.ts';
import { bootNode, containerdReady, execInNode, nodeLaunch, nodeProcesses, prepareNode } from './node.ts';
import { type ClusterPlan, ClusterState, type NodePlan, planNode } from './plan.ts';
import { childrenOf, isAlive, type Launch, launch } from './processes.ts';
import { capture, type RunOptions, type RunResult, run } from './run.ts';
import { statePath, writeState } from './state.ts';
import { until } from './wait.ts';

export interface ProcessStatus {
  /** As `kube-apiserver` or `node1/kubelet`. */
  readonly name: string;
  readonly pid: number;
  readonly alive: boolean;
}

export interface OutsideClient {
  /** Addresses on the underlay, and one beyond the nodes' default gateway. */
  readonly address: ClusterPlan['client'];
  readonly world: ClusterPlan['world'];
  /** Runs a command of this machine (as curl) in the client's network. */
  exec(argv: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Process that holds the client's network namespace. */
  readonly pid: number;
}

export class Cluster {
  readonly plan: ClusterPlan;
  /** Directory of the Kubernetes programs, `kubectl` among them. */
  readonly bin: string;
  readonly #nodes: NodePlan[];

  constructor(plan: ClusterPlan, nodes: readonly NodePlan[], bin: string) {
    this.plan = plan;
    this.bin = bin;
    this.#nodes = [...nodes];
  }

  get kubeconfig(): string {
    return join(this.plan.dir, 'kubeconfig');
  }

  get nodes(): readonly NodePlan[] {
    return this.#nodes;
  }

  /** Adds a node, and returns when its kubelet has reported and its pod CIDRs are given; Ready it is with a CNI only. */
  async addNode(): Promise<NodePlan> {
    const [node] = await this.bootNewNodes(1);
    if (node === undefined) throw new Error('no node was added');
    writeState(this.plan, this.#nodes);
    return node;
  }

  /** Boots that many new nodes at the same time. For starting a cluster: it is not recorded as complete. */
  async bootNewNodes(count: number): Promise<NodePlan[]> {
    const first = Number(this.#nodes.at(-1)?.name.replace('node', '') ?? 0) + 1;
    const added = Array.from({ length: count }, (_none, index) => planNode(this.plan, first + index));
    const ledger = openLedger(this.plan.dir);
    await Promise.all(
      added.map(async (node) => {
        await prepareNode(ledger, this.plan, node);
        await this.bootNode(node);
      }),
    );
    this.#nodes.push(...added);
    return added;
  }

  /** Boots a prepared node, or one that lost its power. What a pod wrote to the node's disk is still there. */
  async bootNode(node: NodePlan): Promise<void> {
    const init = await bootNode(this.plan, node, this.pid('network'));
    const ledger = openLedger(this.plan.dir);
    await launch(ledger, nodeLaunch('containerd', node, this.bin, init));
    await containerdReady(init, node);
    await launch(ledger, nodeLaunch('kubelet', node, this.bin, init));
    const api = openApi(this.plan);
    try {
      const { podCIDRs } = await until(`${node.name} to register`, () => registeredNode(api, node.name), {
        timeout: 60_000,
        hint: () => `see ${join(node.dir, 'kubelet.log')}`,
      });
      await routePods(node, podCIDRs, this.pid('client'));
    } finally {
      api.close();
    }
  }

  /** Loads the images of an OCI archive (image/archive.ts) into nodes, all if none is named; present ones are left. */
  async loadImage(archive: string, nodes: readonly string[] = this.#nodes.map((node) => node.name)): Promise<void> {
    await Promise.all(nodes.map((name) => loadImage(archive, this.nodeInit(name), name)));
  }

  /** Runs kubectl and returns its output. @throws CommandError when it fails */
  kubectl(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return run([join(this.bin, 'kubectl'), '--kubeconfig', this.kubeconfig, ...args], options);
  }

  /** Server-side applies objects, taking over fields that another manager holds. */
  apply(...objects: readonly object[]): Promise<string> {
    const input = objects.map((object) => stringify(object)).join('---\n');
    return this.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { input });
  }

  /** Runs a command in a pod and returns whatever happened. @param pod its name, or `deploy/NAME` */
  async exec(namespace: string, pod: string, argv: readonly string[], container?: string): Promise<RunResult> {
    const choose = container === undefined ? [] : ['-c', container];
    const kubectl = [join(this.bin, 'kubectl'), '--kubeconfig', this.kubeconfig];
    return capture([...kubectl, 'exec', '-n', namespace, pod, ...choose, '--', ...argv]);
  }

  /** Runs a command in a node: this machine's programs, the node's namespaces. */
  execInNode(name: string, argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return execInNode(this.nodeInit(name), argv, options);
  }

  outsideClient(): OutsideClient {
    const pid = this.pid('client');
    const exec: OutsideClient['exec'] = (argv, options) => capture([...inNetworkOf(pid), ...argv], options);
    return { address: this.plan.client, world: this.plan.world, exec, pid };
  }

  /** Takes a node off the network, as when a switch port fails: its own link stays up. */
  cutLink(node: string): Promise<void> {
    return unplug(this.pid('network'), this.node(node).port);
  }

  restoreLink(node: string): Promise<void> {
    return plugBack(this.pid('network'), this.node(node).port);
  }

  /** The processes of the cluster, each as last started. */
  processes(): ProcessStatus[] {
    return [...this.#latest().values()].map((entry) => ({
      name: entry.name,
      pid: programPid(entry),
      alive: isAlive(entry),
    }));
  }

  /** Pid of the program itself. @throws Error when there is none of that name, or it is dead */
  pid(name: string): number {
    return programPid(this.#alive(name));
  }

  /** Sends a signal (SIGKILL if not told) to a process; `node1/machine` is a power cut of the node. */
  async kill(name: string, how: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const entry = this.#alive(name);
    process.kill(programPid(entry), how);
    if (how !== 'SIGKILL') return;
    await until(`${name} to end`, () => !isAlive(entry), { timeout: 20_000, every: 5 });
  }

  /** Starts a process of the control plane, or a node's containerd or kubelet, ending it first if it runs. */
  async restart(name: string): Promise<void> {
    const entry = this.#latest().get(name);
    if (entry !== undefined && isAlive(entry)) await this.kill(name);
    await launch(openLedger(this.plan.dir), this.#launchOf(name));
  }

  /** Throws away etcd's history up to now, so that a watch that resumes gets 410. @returns the revision */
  async compactEtcd(): Promise<number> {
    const call = (path: string, body: object) =>
      run([
        ...inNetworkOf(this.pid('network')),
        ...['curl', '-sSf', '--max-time', '10', '-d', JSON.stringify(body), `${etcdUrl}/v3/kv/${path}`],
      ]);
    const revision = Number(/"revision":"(\d+)"/.exec(await call('range', { key: 'AA==' }))?.[1] ?? 0);
    await call('compaction', { revision, physical: true });
    return revision;
  }

  /** Removes everything that the cluster made. */
  async stop(): Promise<void> {
    await takeDown(this.plan.dir);
  }

  node(name: string): NodePlan {
    const node = this.#nodes.find((one) => one.name === name);
    if (node === undefined) {
      throw new Error(`there is no node ${name}; there are ${this.#nodes.map((one) => one.name).join(', ')}`);
    }
    return node;
  }

  /** Process 1 of a node, as seen from outside. */
  nodeInit(name: string): number {
    return this.pid(`${name}/init`);
  }

  #launchOf(name: string): Launch {
    const component = controlPlaneProcesses.find((one) => one === name);
    if (component !== undefined) return controlPlaneLaunch(component, this.plan, this.bin, this.pid('network'));
    const [node = '', part] = name.split('/');
    const inside = nodeProcesses.find((one) => one === part);
    if (inside === undefined) throw new Error(`can't restart ${name}: it is no process of the control plane or a node`);
    return nodeLaunch(inside, this.node(node), this.bin, this.nodeInit(node));
  }

  #alive(name: string): ProcessEntry {
    const entry = this.#latest().get(name);
    if (entry === undefined) throw new Error(`cluster ${this.plan.name} has no process ${name}`);
    if (!isAlive(entry)) throw new Error(`${name} of cluster ${this.plan.name} is dead`);
    return entry;
  }

  #latest(): Map<string, ProcessEntry> {
    const entries: Entry[] = readLedger(this.plan.dir) ?? [];
    return new Map(entries.filter((entry) => entry.kind === 'process').map((entry) => [entry.name, entry]));
  }
}

/** The program itself: `nsenter` into a process namespace stays as its parent. */
function programPid(entry: ProcessEntry): number {
  const inside = entry.name.includes('/') && nodeProcesses.some((one) => entry.name.endsWith(`/${one}`));
  return inside ? (childrenOf(entry.pid)[0] ?? entry.pid) : entry.pid;
}

/** The cluster of a directory if all its processes run; undefined when there is none or it is not whole. */
export function openCluster(dir: string, bin: string): Cluster | undefined {
  const state = readState(dir);
  if (state === undefined) return undefined;
  const cluster = new Cluster(state.plan, state.nodes, bin);
  const alive = cluster.processes().every((one) => one.alive);
  return alive ? cluster : undefined;
}

function readState(dir: string): ClusterState | undefined {
  try {
    return ClusterState.parse(JSON.parse(readFileSync(statePath(dir), 'utf8')));
  } catch {
    return undefined;
  }
}
