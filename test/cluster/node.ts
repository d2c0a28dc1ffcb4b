/** A node: its own network, mount, process, host name, IPC and cgroup namespace, with containerd and kubelet inside. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hierarchies } from './cgroups.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { type Ledger, openLedger, type ProcessEntry } from './ledger.ts';
import { plugNode } from './network.ts';
import {
  containerdConfig,
  enterScript,
  initScript,
  joinCgroups,
  joinUnifiedCgroup,
  kubeletArguments,
  kubeletConfig,
  readyFile,
} from './node-config.ts';
import { nodeIdentity, sign } from './pki.ts';
import type { ClusterPlan, NodePlan } from './plan.ts';
import { childrenOf, isAlive, type Launch, launch, startTime } from './processes.ts';
import { capture, type RunOptions, type RunResult } from './run.ts';
import { Fatal, until } from './wait.ts';

export const nodeProcesses = ['containerd', 'kubelet'] as const;
export type NodeProcess = (typeof nodeProcesses)[number];

/** Writes a node's files. Its directory must be new: an old one with a new control plane costs a minute of confusion. */
export async function prepareNode(ledger: Ledger, plan: ClusterPlan, node: NodePlan): Promise<void> {
  if (existsSync(node.dir)) throw new Error(`${node.dir} is there already: run down first`);
  ledger.append({ kind: 'path', path: node.dir });
  mkdirSync(node.dir, { recursive: true });
  await sign(plan.dir, nodeIdentity(node));
  writeKubeconfig(plan, node.name, join(node.dir, 'kubelet.kubeconfig'));
  const list = hierarchies();
  writeFileSync(join(node.dir, 'enter.sh'), enterScript(node, list));
  writeFileSync(join(node.dir, 'init.sh'), initScript(node, list));
  writeFileSync(join(node.dir, 'containerd.toml'), containerdConfig());
  writeFileSync(join(node.dir, 'kubelet.yaml'), kubeletConfig(plan, node));
}

/** Starts the node's first process and plugs it in. @returns the pid of process 1 of the node, as seen from outside */
export async function bootNode(plan: ClusterPlan, node: NodePlan, holder: number): Promise<number> {
  const ledger = openLedger(plan.dir);
  ledger.append({ kind: 'cgroup', path: node.cgroup });
  const log = join(node.dir, 'init.log');
  const argv = ['unshare', '--mount', '--net', '--', 'sh', join(node.dir, 'enter.sh')];
  const outer = await launch(ledger, { name: `${node.name}/machine`, argv, log });
  const init = await until(`${node.name} to boot`, () => bootedInit(outer), {
    timeout: 20_000,
    every: 10,
    hint: () => `see ${log}`,
  });
  ledger.append({ kind: 'process', name: `${node.name}/init`, pid: init.pid, start: init.start });
  await plugNode(plan, node, holder, init.pid);
  return init.pid;
}

/** How to start containerd or kubelet in a booted node. */
export function nodeLaunch(name: NodeProcess, node: NodePlan, bin: string, init: number): Launch {
  const argv =
    name === 'containerd'
      ? ['containerd', '--config', join(node.dir, 'containerd.toml')]
      : [join(bin, 'kubelet'), ...kubeletArguments(node)];
  return {
    name: `${node.name}/${name}`,
    argv: [...inNode(init), ...argv],
    log: join(node.dir, `${name}.log`),
  };
}

/** Arguments that run a command inside the node: all its namespaces and its cgroups. */
export function inNode(init: number): string[] {
  const enter = hierarchies().length === 1 ? joinUnifiedCgroup : joinCgroups;
  const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup'];
  return ['nsenter', '--target', String(init), ...namespaces, '--wd=/', '--', 'sh', '-c', enter, 'sh'];
}

export function execInNode(init: number, argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return capture([...inNode(init), ...argv], options);
}

/** Waits until containerd answers in the node. */
export async function containerdReady(init: number, node: NodePlan): Promise<void> {
  const socket = `/proc/${init}/root/run/containerd/containerd.sock`;
  const hint = () => `see ${join(node.dir, 'containerd.log')}`;
  await until(`containerd's socket on ${node.name}`, () => existsSync(socket), { timeout: 20_000, every: 20, hint });
  await until(`containerd on ${node.name}`, async () => (await execInNode(init, ['ctr', 'version'])).code === 0, {
    timeout: 20_000,
    hint,
  });
}

function bootedInit(outer: ProcessEntry): { pid: number; start: string } | undefined {
  if (!isAlive(outer)) throw new Fatal(`its first process died`);
  const pid = childrenOf(outer.pid)[0];
  const start = pid === undefined ? undefined : startTime(pid);
  if (pid === undefined || start === undefined || !existsSync(`/proc/${pid}/root${readyFile}`)) return undefined;
  return { pid, start };
}
