/**
 * One node of the benchmark with an operator: `node node.ts CONFIG`, in fresh network, mount and process namespaces.
 * Pods get their network from the real CNI binary. Each line of input is a {@link Request}, answered by a line of JSON.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestOperator } from '../../agent/testing/operator.ts';
import { until } from '../../test/cluster/wait.ts';
import { agentV8Flags } from '../../test/local/images.ts';
import { MapWatch, monotonicMs, type Rows } from '../mapwatch.ts';
import { memoryOf } from '../memory/proc.ts';
import { sh } from '../scratch.ts';
import { askAgent } from './ask.ts';
import type { NodeConfig, Request } from './protocol.ts';
import { nodeName, nodeState, podName, podUid } from './state.ts';

/** Until an agent has given back what its start needed, ms. */
const settleMs = 3_000;
/** In which the kernel ends the links of the last run, a grace period each, and holds up whoever asks for addresses. */
const teardownMs = 5_000;
const bare = ['--input-type=module', '--eval', 'process.stdout.write("started"); setInterval(() => {}, 1e6)'];

const config: NodeConfig = JSON.parse(process.argv[2] ?? '{}');
const { dir, program, cgroup } = config;
let current: ChildProcess | undefined;

function prepare(): void {
  sh(`mkdir -p ${dir}/pins ${dir}/run ${dir}/conf ${dir}/bin ${dir}/account /run/netns
mount -t tmpfs tmpfs /run/netns; mount -t bpf bpf ${dir}/pins
ip link set lo up; ip link add u0 type veth peer name u1; ip link set u0 up; ip link set u1 up
ip addr add 10.250.7.1/24 dev u0; ip addr add fd00:250::1/64 dev u0 nodad`);
}

/** Pinned, as the baseline is. */
function spawnNode(args: readonly string[]): ChildProcess {
  current = spawn('taskset', ['-c', '1', process.execPath, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  return current;
}

async function end(): Promise<void> {
  const child = current;
  current = undefined;
  if (child === undefined || child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

function startAgent(api: string): ChildProcess {
  const flags = {
    'node-name': nodeName,
    'api-server': api,
    'run-dir': `${dir}/run`,
    'pin-dir': `${dir}/pins/weft`,
    cgroup,
    'cni-conf-dir': `${dir}/conf`,
    'cni-bin-dir': `${dir}/bin`,
    'token-file': `${dir}/token`,
    'account-dir': `${dir}/account`,
  };
  const child = spawnNode([
    ...agentV8Flags,
    program,
    ...Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`),
  ]);
  child.stdout?.resume();
  return child;
}

function addPod(index: number): void {
  const name = podName(index);
  sh(`ip netns add ${name}`);
  const { status, stdout } = spawnSync(join(program, '..', 'weft-cni'), {
    encoding: 'utf8',
    input: JSON.stringify({ cniVersion: '1.0.0', name: 'weft', type: 'weft-cni', socket: `${dir}/run/cni.sock` }),
    env: {
      ...process.env,
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: `c-${name}`,
      CNI_IFNAME: 'eth0',
      CNI_PATH: dir,
      CNI_NETNS: `/run/netns/${name}`,
      CNI_ARGS: `K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${name};K8S_POD_UID=${podUid(index)};K8S_POD_INFRA_CONTAINER_ID=c-${name}`,
    },
  });
  if (status !== 0) throw new Error(`pod ${name} got no network: ${stdout}`);
}

async function rows(): Promise<Rows> {
  const count = async (table: string): Promise<number> =>
    (await askAgent(`${dir}/run/agent.sock`, { command: 'dump', table })).length;
  return {
    pods: await count('pods'),
    policy: await count('policy'),
    addresses: await count('addresses'),
    services: await count('services'),
  };
}

const isReady = async (): Promise<boolean> => (await fetch('http://127.0.0.1:15021/readyz')).ok;

/** What a node has after it was switched on: pods' devices and addresses, an empty bpffs, no state of the operator. */
async function wipe(): Promise<void> {
  await end();
  sh(`umount ${dir}/pins; mount -t bpf bpf ${dir}/pins`);
  rmSync(`${dir}/run/state.bin`, { force: true });
  await sleep(teardownMs);
}

/** @returns milliseconds from the process's start until the kernel holds everything */
async function agentStart(api: string, wanted: Rows): Promise<number> {
  await wipe();
  const watch = await MapWatch.rows(`${dir}/pins/weft/v2`, wanted);
  const started = monotonicMs();
  startAgent(api);
  const there = await watch.next();
  watch.stop();
  return there - started;
}

/** @returns milliseconds until Node runs a script of one line */
async function bareStart(): Promise<number> {
  await end();
  const started = monotonicMs();
  const child = spawnNode(bare);
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return monotonicMs() - started;
}

async function answer(request: Request, api: string, wanted: Rows): Promise<object> {
  if (request === 'rows') return wanted;
  if (request === 'agent-start') return { ms: await agentStart(api, wanted) };
  if (request === 'bare-start') return { ms: await bareStart() };
  if (request === 'agent-memory') await agentStart(api, wanted);
  else await bareStart();
  await sleep(request === 'agent-memory' ? settleMs : 500);
  return memoryOf(current?.pid ?? 0);
}

prepare();
const operator = await TestOperator.start(nodeName, `${dir}/ca`);
operator.put(nodeState(config.pods, config.services));
const api = await operator.serveApi();
writeFileSync(join(dir, 'account', 'token'), 'api-token');
writeFileSync(join(dir, 'account', 'ca.crt'), operator.caPem);
writeFileSync(join(dir, 'token'), 'operator-token');
startAgent(api);
await until('the agent to be ready', isReady, { timeout: 60_000 });
for (let index = 0; index < config.pods; index++) addPod(index);
const wanted = await rows();
process.stdout.write('"ready"\n');
for await (const line of createInterface({ input: process.stdin })) {
  const request: Request = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(await answer(request, api, wanted))}\n`);
}
await end();
process.exit(0);
