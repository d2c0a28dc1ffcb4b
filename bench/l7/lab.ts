/** Pods, nodes, Envoys and load of this suite. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { envoyFiles } from '../../test/local/envoy/binary.ts';
import { loadWeft } from '../datapath/load.ts';
import type { NodeConfig } from '../datapath/node.ts';
import { makeTopology, type Pod, removeTopologies, type Topology } from '../datapath/topology.ts';
import { goTool } from '../gotool.ts';
import { Scratch, sh } from '../scratch.ts';
import { BenchEnvoy, type EnvoyOptions } from './envoy.ts';

const run = promisify(execFile);

/** Processors, as taskset has them. */
export interface Placement {
  /** Of client and server. */
  readonly ends: string;
  readonly proxies: string;
}

/** What is measured has the second for itself, client and server share the first. */
const apart: Placement = { ends: '0', proxies: '1' };

export const protocols = ['h1', 'h2', 'grpc'] as const;
export type Protocol = (typeof protocols)[number];

/** What httpload prints. */
export interface Load {
  readonly requests: number;
  readonly errors: number;
  readonly seconds: number;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly cpu_us: number;
  readonly error?: string;
}

export interface LoadOptions {
  readonly from: Pod;
  readonly protocol: Protocol;
  /** "10.0.0.1:80" */
  readonly to: string;
  readonly connections: number;
  readonly seconds: number;
  /** Requests a second; as many as are answered if left out. */
  readonly rate?: number;
  /** Whose time of the processor counts. */
  readonly pids?: readonly number[];
}

export class Lab {
  readonly scratch = new Scratch();
  readonly #children: ChildProcess[] = [];
  readonly #envoys: BenchEnvoy[] = [];
  readonly #httpload: string;
  readonly #envoyProgram: string;

  readonly #placement: Placement;
  /** Requests that failed since the last look, and why the first of them did. */
  #failed: { count: number; first: string } = { count: 0, first: '' };

  private constructor(httpload: string, envoyProgram: string, placement: Placement) {
    this.#httpload = httpload;
    this.#envoyProgram = envoyProgram;
    this.#placement = placement;
  }

  static async make(placement = apart): Promise<Lab> {
    removeTopologies();
    return new Lab(await goTool('httpload'), (await envoyFiles()).program, placement);
  }

  /** With a server in the server's pod: HTTP on these ports, gRPC on the next ones. */
  async topology(name: string, proxy: 'weft' | 'plain' | undefined, ports: readonly number[]): Promise<Topology> {
    const topology = makeTopology(name, false, proxy);
    for (const port of ports) {
      this.#spawn(topology.server, [this.#httpload, 'serve', `0.0.0.0:${port}`]);
      await listening(topology.server, port + 1);
    }
    return topology;
  }

  /** Loads Weft on the topology's first node. */
  async weft({ nodes, client, server, proxy }: Topology, ports: NodeConfig['ports']): Promise<void> {
    const node = nodes.find(({ namespace }) => namespace === client.node);
    if (node === undefined) throw new Error('the client is on a node');
    const child = await loadWeft(node.namespace, {
      pinDir: this.scratch.pins(node.namespace),
      cgroup: this.scratch.cgroup,
      nodeIPv4: node.address,
      pods: [client, server],
      peers: [client.address, server.address],
      nodes: nodes.map(({ address }) => address),
      ports,
      ...(proxy === undefined ? {} : { proxy }),
      services: 0,
      backend: { address: server.address, port: 9000 },
    });
    this.#children.push(child);
  }

  async envoy(pod: Pod | undefined, fixed?: EnvoyOptions['static']): Promise<BenchEnvoy> {
    if (pod === undefined) throw new Error('the topology has no pod for Envoy');
    const envoy = await BenchEnvoy.start({
      namespace: pod.namespace,
      program: this.#envoyProgram,
      cores: this.#placement.proxies,
      ...(fixed === undefined ? {} : { static: fixed }),
    });
    this.#envoys.push(envoy);
    return envoy;
  }

  async load({ from, protocol, to, connections, seconds, rate = 0, pids = [] }: LoadOptions): Promise<Load> {
    const args = ['run', protocol, to, connections, seconds, rate, ...(pids.length > 0 ? [pids.join(',')] : [])];
    const script = `echo $$ > ${join(this.scratch.cgroup, 'cgroup.procs')}; exec taskset -c ${this.#placement.ends} ${this.#httpload} ${args.join(' ')}`;
    const { stdout } = await run('nsenter', [`--net=/run/netns/${from.namespace}`, 'sh', '-c', script]);
    const load = JSON.parse(stdout) as Load;
    if (load.errors > 0 && this.#failed.count === 0) this.#failed.first = load.error ?? '';
    this.#failed.count += load.errors;
    return load;
  }

  failures(): { readonly count: number; readonly first: string } {
    const failed = this.#failed;
    this.#failed = { count: 0, first: '' };
    return failed;
  }

  /** @returns asks for a path until the answer is 200 */
  probe(from: Pod, to: string): (path: string) => Promise<void> {
    const child = this.#spawn(from, [this.#httpload, 'probe', to]);
    if (child.stdin === null || child.stdout === null) throw new Error('the probe has no pipes');
    const { stdin } = child;
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return async (path) => {
      stdin.write(`${path}\n`);
      const { value } = await lines.next();
      if (value !== 'ok') throw new Error(`the probe of ${path} ended`);
    };
  }

  #spawn(pod: Pod, command: readonly string[]): ChildProcess {
    const args = [
      ...['--pdeathsig', 'KILL', '--', 'nsenter', `--net=/run/netns/${pod.namespace}`],
      ...['taskset', '-c', this.#placement.ends],
      ...command,
    ];
    const child = spawn('setpriv', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.push(child);
    return child;
  }

  async close(): Promise<void> {
    for (const envoy of this.#envoys) await envoy.stop();
    for (const child of this.#children) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      // Weft's nodes and probes end with their input.
      child.stdin?.end();
      if (child.spawnargs.includes('serve')) child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await ended;
    }
    removeTopologies();
    this.scratch.remove();
  }
}

async function listening({ namespace }: Pod, port: number): Promise<void> {
  for (let tries = 0; sh(`ip netns exec ${namespace} ss -Hltn 'sport = :${port}'`) === ''; tries++) {
    if (tries === 200) throw new Error(`nothing listens on port ${port} of the server's pod`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
