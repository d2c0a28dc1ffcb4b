import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs a shell script. @throws Error with what it said if a command of it fails */
export function sh(command: string): string {
  const { status, stdout, stderr } = spawnSync('sh', ['-ec', command], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
  return stdout;
}

const cgroupOf = (directory: string, owner: number): string => join(directory, 'cgroup', `weft-bench-${owner}`);

function remove(directory: string, owner: number): void {
  spawnSync('rmdir', [cgroupOf(directory, owner)]);
  for (const name of ['bpf', 'cgroup']) {
    const mount = join(directory, name);
    if (spawnSync('mountpoint', ['-q', mount]).status === 0) sh(`umount ${mount}`);
  }
  rmSync(directory, { recursive: true });
}

/** Those of runs that were killed. */
function removeLeftOvers(): void {
  for (const name of readdirSync(tmpdir())) {
    const owner = Number(/^weft-bench-(\d+)-/.exec(name)?.[1] ?? process.pid);
    if (!existsSync(`/proc/${owner}`)) remove(join(tmpdir(), name), owner);
  }
}

/** A scratch directory with a bpffs and a cgroup2 of its own. */
export class Scratch {
  readonly directory: string;

  constructor() {
    removeLeftOvers();
    this.directory = mkdtempSync(join(tmpdir(), `weft-bench-${process.pid}-`));
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
    return cgroupOf(this.directory, process.pid);
  }

  pins(node: string): string {
    return join(this.directory, 'bpf', node);
  }

  remove(): void {
    remove(this.directory, process.pid);
  }
}
