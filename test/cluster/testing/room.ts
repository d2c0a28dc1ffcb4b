/** A room of its own for `up` and `down`: what they leave in it is all theirs, however busy the machine is. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { clusterId } from '../plan.ts';
import { capture } from '../run.ts';

const commands = {
  mounts: ['cat', '/proc/self/mountinfo'],
  links: ['ip', '-o', 'link'],
  routes: ['ip', 'route'],
  rules: ['ip', 'rule'],
  nft: ['nft', 'list', 'ruleset'],
  // kubelet would change these for the whole machine.
  tunables: [
    'sysctl',
    'vm.overcommit_memory',
    'vm.panic_on_oom',
    'kernel.panic',
    'kernel.panic_on_oops',
    'kernel.keys',
  ],
  bpf: ['find', '/sys/fs/bpf', '/run/netns'],
};

/** Mount and network namespaces. Processes and cgroups have no such room, and are known by the cluster's mark. */
export class Room {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async open(): Promise<Room> {
    const script = 'ip link set lo up && echo ready && exec sleep infinity';
    const holder = spawn('unshare', ['--mount', '--net', 'sh', '-c', script]);
    if (holder.stdout !== null) await once(holder.stdout, 'data');
    return new Room(holder);
  }

  close(): void {
    this.#holder.kill('SIGKILL');
  }

  /** Arguments that run a command in here. */
  enter(...argv: readonly string[]): string[] {
    return ['nsenter', '--target', String(this.#holder.pid), '--mount', '--net', '--', ...argv];
  }

  /** All that a cluster in `dir` could leave behind, as text by kind. */
  async traces(dir: string): Promise<Record<string, string>> {
    const seen = Object.entries(commands).map(async ([kind, argv]) => [
      kind,
      (await capture(this.enter(...argv))).stdout,
    ]);
    const files = readdirSync(dirname(dir)).join(' ');
    return { ...Object.fromEntries(await Promise.all(seen)), ...marked(dir), files };
  }
}

/** Processes and cgroups that carry the mark of a cluster's directory. */
function marked(dir: string): { processes: string; cgroups: string } {
  const id = clusterId(dir);
  const read = (path: string) => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return '';
    }
  };
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && read(`/proc/${name}/stat`).split(') ')[1]?.[0] !== 'Z')
    .filter(
      (pid) =>
        read(`/proc/${pid}/environ`).includes(`WEFT_CLUSTER=${dir}/`) || read(`/proc/${pid}/cgroup`).includes(id),
    )
    .map((pid) => `${pid} ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`);
  const cgroups = readdirSync('/sys/fs/cgroup')
    .flatMap((hierarchy) =>
      existsSync(`/sys/fs/cgroup/${hierarchy}/cgroup.procs`)
        ? readdirSync(`/sys/fs/cgroup/${hierarchy}`).map((name) => `${hierarchy}/${name}`)
        : [],
    )
    .filter((path) => path.includes(id));
  return { processes: processes.join('\n'), cgroups: cgroups.join('\n') };
}
