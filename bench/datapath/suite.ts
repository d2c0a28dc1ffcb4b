/** What a packet and a connection cost with Weft, policy on, against plain veth with routing. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onEnd } from '../cleanup.ts';
import { goTool } from '../gotool.ts';
import type { Result } from '../result.ts';
import { Scratch } from '../scratch.ts';
import { interleave } from '../statistics.ts';
import { loadWeft } from './load.ts';
import { makeTopology, removeTopologies, type Topology } from './topology.ts';

const run = promisify(execFile);
const port = 9000;
const seconds = 0.6;
const pairs = 20;
type Kind = 'rr' | 'crr' | 'bulk';

class Bench {
  readonly #scratch = new Scratch();
  readonly #children: ChildProcess[] = [];
  readonly #netload: string;
  constructor(netload: string) {
    this.#netload = netload;
  }

  topology(name: string, across: boolean): Topology {
    const topology = makeTopology(name, across);
    const args = [
      ...['--pdeathsig', 'KILL', '--', 'ip', 'netns', 'exec'],
      topology.server.namespace,
      'taskset',
      '-c',
      '1',
      this.#netload,
      'serve',
      `0.0.0.0:${port}`,
    ];
    this.#children.push(spawn('setpriv', args, { stdio: 'ignore' }));
    return topology;
  }

  /** Loads Weft on the nodes that have pods. */
  async weft(topology: Topology, services: number): Promise<void> {
    const pods = [topology.client, topology.server];
    for (const node of topology.nodes) {
      const own = pods.filter((pod) => pod.node === node.namespace);
      if (own.length === 0) continue;
      const child = await loadWeft(node.namespace, {
        pinDir: this.#scratch.pins(node.namespace),
        cgroup: this.#scratch.cgroup,
        nodeIPv4: node.address,
        pods: own,
        peers: pods.map((pod) => pod.address),
        nodes: topology.nodes.map((one) => one.address),
        ports: [{ port }],
        services,
        backend: { address: topology.server.address, port },
      });
      this.#children.push(child);
    }
  }

  /** Rate of one measurement, client and server each on its own processor. */
  async measure(topology: Topology, kind: Kind, address = `${topology.server.address}:${port}`): Promise<number> {
    const script = `echo $$ > ${join(this.#scratch.cgroup, 'cgroup.procs')}; exec taskset -c 0 ${this.#netload} ${kind} ${address} ${seconds}`;
    const { stdout } = await run('nsenter', [`--net=/run/netns/${topology.client.namespace}`, 'sh', '-c', script]);
    return Number(stdout);
  }

  async close(): Promise<void> {
    for (const child of this.#children) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.stdin === null) child.kill('SIGKILL');
      else child.stdin.end();
      if (child.exitCode === null && child.signalCode === null) await ended;
    }
    removeTopologies();
    this.#scratch.remove();
  }
}

export async function runCase(one: string): Promise<readonly Result[]> {
  if (one === 'cost') return (await import('./cost.ts')).costs();
  removeTopologies();
  const bench = new Bench(await goTool('netload'));
  const close = onEnd(() => bench.close());
  try {
    const service = one === 'crr-service';
    const [kind = 'rr', where] = one.split('-') as [Kind, string];
    const weft = bench.topology('weft', where === 'cross');
    await bench.weft(weft, service ? 5000 : 0);
    const plain = service ? weft : bench.topology('base', where === 'cross');
    const variant = service ? '10.96.9.9:80' : undefined;
    await bench.measure(weft, kind, variant);
    const result = await interleave(
      pairs,
      () => bench.measure(plain, kind),
      () => bench.measure(weft, kind, variant),
    );
    return [{ suite: 'datapath', case: one, metric: 'rate', unit: kind === 'bulk' ? 'bytes/s' : '1/s', ...result }];
  } finally {
    await close();
  }
}
