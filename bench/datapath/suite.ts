/** What a packet and a connection cost with Weft, policy on, against plain veth with routing. */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cached, hashOf, hashTree } from '../../test/cluster/cache.ts';
import type { Result } from '../result.ts';
import { interleave } from '../statistics.ts';
import { makeTopology, removeTopology, sh, type Topology } from './topology.ts';

const run = promisify(execFile);
const port = 9000;
const seconds = 0.6;
const pairs = 20;
type Kind = 'rr' | 'crr' | 'bulk';

async function buildNetload(): Promise<string> {
  const source = join(import.meta.dirname, '..', 'netload');
  return cached('go', hashOf('netload', hashTree(source)), async (out) => {
    await run('go', ['build', '-o', out, '.'], {
      cwd: source,
      env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' },
    });
  });
}

/** A scratch directory with a bpffs and a cgroup2 of its own. */
class Scratch {
  readonly directory = mkdtempSync(join(tmpdir(), 'weft-bench-'));
  constructor() {
    for (const [type, name] of [
      ['bpf', 'bpf'],
      ['cgroup2', 'cgroup'],
    ] as const) {
      mkdirSync(join(this.directory, name));
      sh(`mount -t ${type} none ${join(this.directory, name)}`);
    }
    mkdirSync(this.cgroup, { recursive: true });
  }
  get cgroup(): string {
    return join(this.directory, 'cgroup', `weft-bench-${process.pid}`);
  }
  pins(node: string): string {
    return join(this.directory, 'bpf', node);
  }
  remove(): void {
    spawnSync('rmdir', [this.cgroup]);
    for (const name of ['bpf', 'cgroup']) sh(`umount ${join(this.directory, name)}`);
    rmSync(this.directory, { recursive: true });
  }
}

class Bench {
  readonly #scratch = new Scratch();
  readonly #topologies: Topology[] = [];
  readonly #children: ChildProcess[] = [];
  readonly #netload: string;
  constructor(netload: string) {
    this.#netload = netload;
  }

  topology(name: string, across: boolean): Topology {
    const topology = makeTopology(name, across);
    this.#topologies.push(topology);
    const args = [
      'netns',
      'exec',
      topology.server.namespace,
      'taskset',
      '-c',
      '1',
      this.#netload,
      'serve',
      `0.0.0.0:${port}`,
    ];
    this.#children.push(spawn('ip', args, { stdio: 'ignore' }));
    return topology;
  }

  /** Loads Weft on the nodes that have pods. */
  async weft(topology: Topology, services: number): Promise<void> {
    const pods = [topology.client, topology.server];
    for (const node of topology.nodes) {
      const own = pods.filter((pod) => pod.node === node.namespace);
      if (own.length === 0) continue;
      const config = {
        pinDir: this.#scratch.pins(node.namespace),
        cgroup: this.#scratch.cgroup,
        nodeIPv4: node.address,
        pods: own,
        peers: pods.map((pod) => pod.address),
        nodes: topology.nodes.map((one) => one.address),
        services,
        backend: { address: topology.server.address, port },
      };
      // nsenter, because ip netns exec would hide the mounts of bpffs and cgroup2 below /sys.
      const child = spawn(
        'nsenter',
        [
          `--net=/run/netns/${node.namespace}`,
          process.execPath,
          join(import.meta.dirname, 'node.ts'),
          JSON.stringify(config),
        ],
        { stdio: ['pipe', 'pipe', 'inherit'] },
      );
      this.#children.push(child);
      await new Promise<void>((resolve, reject) => {
        child.stdout.once('data', () => resolve());
        child.once('exit', () => reject(new Error('the node of the benchmark ended')));
      });
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
    this.#topologies.forEach(removeTopology);
    this.#scratch.remove();
  }
}

export async function runCase(one: string): Promise<readonly Result[]> {
  const bench = new Bench(await buildNetload());
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
    await bench.close();
  }
}
