/**
 * Memory and start of an agent with many pods and Services. Run it as root in fresh network and mount namespaces:
 *
 *     unshare -n -m node agent/testing/measure.ts DIR [--pods 100] [--services 10000] [--starts 1] [--agent FILE]
 *
 * DIR is an empty folder; FILE the agent's program (default: its sources; what ships is the bundle). The last line of
 * standard output is "RESULT " and JSON, see `Measured`.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Resource } from '../tables/resource.ts';
import { AgentLab, namespaceOf, sh } from './lab.ts';
import { address, endpoint, node, policySet, service } from './resources.ts';

interface Measured {
  readonly pods: number;
  readonly services: number;
  /** Idle, after the batch with everything and the pods' ADDs. MiB. */
  readonly rssMiB: number;
  readonly pssMiB: number;
  /** The most that the process ever held. MiB. */
  readonly peakMiB: number;
  /**
   * From the process's start on an empty bpffs, with no state on disk but which pods there are, until the operator was
   * told that everything is in the kernel and was read back. ms, one a start.
   */
  readonly startMs: readonly number[];
  /** The same after kill -9, with everything still pinned and on disk: until the agent is ready. ms. */
  readonly restartMs: readonly number[];
}

/** V8 gives memory back late; what is measured is an agent at rest. ms. */
const REST_MS = 15_000;
/** The kernel takes down what was pinned in the background, and holds up whoever attaches meanwhile. ms. */
const TEARDOWN_MS = 8_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pods: { type: 'string', default: '100' },
    services: { type: 'string', default: '10000' },
    starts: { type: 'string', default: '1' },
    agent: { type: 'string' },
  },
});
const dir = positionals[0];
if (dir === undefined) throw new Error('usage: measure.ts DIR [--pods N] [--services N] [--starts N] [--agent FILE]');
const pods = Array.from({ length: Number(values.pods) }, (_, i) => `p${i}`);

/** Five pods share a policy set and a class. */
function state(services: number): Map<string, Resource> {
  const kinds = Math.max(1, Math.ceil(pods.length / 5));
  const set = (i: number): bigint => 0x1000_0000n + BigInt(i % kinds) * 16n + 1n;
  const peer = (i: number): bigint => 100n + BigInt(i % kinds);
  return new Map([
    node('n1', ['10.250.7.1', 'fd00:250::1'], ['10.244.1.0/24', 'fd00:10:244:1::/64']),
    node('n2', ['10.250.7.2', 'fd00:250::2'], ['10.244.2.0/24', 'fd00:10:244:2::/64']),
    address('0.0.0.0/0', 1n, 0),
    address('::/0', 1n, 0),
    address('10.244.0.0/16', 2n, 1),
    address('10.250.7.1/32', 3n, 2),
    ...Array.from({ length: kinds }, (_, i) => policySet(set(i), peer(i))),
    ...pods.map((pod, i) => endpoint(`uid-${pod}`, pod, set(i), peer(i))),
    ...Array.from({ length: services }, (_, i) =>
      service(
        `s${i}`,
        [`10.96.${i >> 8}.${i & 255}`, `fd00:96::${i.toString(16)}`],
        [2, 3, 4].flatMap((node) => [`10.244.${node}.${(i % 200) + 2}`, `fd00:10:244:${node}::${i % 200}`]),
      ),
    ),
  ]);
}

function memory(pid: number): Pick<Measured, 'rssMiB' | 'pssMiB' | 'peakMiB'> {
  const mib = (file: string, field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'))?.[1]) / 1024;
  return { rssMiB: mib('status', 'VmRSS'), pssMiB: mib('smaps_rollup', 'Pss'), peakMiB: mib('status', 'VmHWM') };
}

async function stop(agent: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  const ended = once(agent, 'exit');
  agent.kill(signal);
  await ended;
}

async function holds(table: string, atLeast: number, lab: AgentLab): Promise<void> {
  const rows = (await lab.ask({ command: 'dump', table })).length;
  if (rows < atLeast) throw new Error(`the kernel holds ${rows} rows of ${table}, not ${atLeast}`);
}

const lab = await AgentLab.make(dir, values.agent);
const services = Number(values.services);
lab.operator.put(state(services));
let agent = lab.startAgent();
try {
  await lab.operator.synced();
  await lab.ready();
  for (const pod of pods) {
    sh(`ip netns add ${namespaceOf(pod)}`);
    const added = lab.cni('ADD', pod);
    if (JSON.stringify(added).includes('failed')) throw new Error(`ADD of ${pod}: ${JSON.stringify(added)}`);
  }
  await sleep(REST_MS);
  const atRest = memory(agent.pid ?? 0);

  const startMs: number[] = [];
  const restartMs: number[] = [];
  for (let i = 0; i < Number(values.starts); i++) {
    await stop(agent, 'SIGTERM');
    lab.forgetKernel();
    await sleep(TEARDOWN_MS);
    for (const file of ['state.bin', 'operators.json']) rmSync(join(dir, 'run', file));
    lab.operator.forgetReports();
    const started = performance.now();
    agent = lab.startAgent();
    await lab.operator.synced();
    startMs.push(performance.now() - started);
    await holds('pods', pods.length, lab);
    await holds('addresses', 2 * pods.length, lab);
    await holds('policy', Math.ceil(pods.length / 5), lab);
    await holds('services', 2 * services, lab);
    await stop(agent, 'SIGKILL');
    agent = lab.startAgent();
    restartMs.push(await lab.ready());
  }
  const result: Measured = { pods: pods.length, services, ...atRest, startMs, restartMs };
  process.stdout.write(`RESULT ${JSON.stringify(result)}\n`);
} finally {
  agent.kill('SIGTERM');
  await lab.clear(pods);
}
process.exit(0);
