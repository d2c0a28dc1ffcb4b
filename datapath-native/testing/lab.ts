/** A network and mount namespace of its own for tests, with a bpffs and a cgroup that are gone with it. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as addon from '../index.js';
import type { Datapath, OpenOptions } from '../index.js';

type Functions = Pick<typeof addon, 'links' | 'routes' | 'replaceRoute' | 'deleteRoute' | 'replaceNeighbour'>;
type Methods = Omit<Datapath, 'events' | 'adopted'>;
type Call = { [K in keyof Methods]: Methods[K] } & Functions;

/** Why tests that need the kernel can't run here; undefined if they can. */
export function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  for (const product of ['bpf-loader-napi.node', 'weft-cni']) {
    if (!existsSync(join(import.meta.dirname, '../dist', product))) {
      return `${product} is not built (npm run build -w datapath-native)`;
    }
  }
  return undefined;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The addon in a process inside the lab. */
export class Worker {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exited: Promise<void>;
  #calls = 0;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.on('exit', () => {
        for (const { reject } of this.#waiting.values()) reject(new Error('the worker ended'));
        resolve();
      });
    });
    child.on('message', (answer: { id: number; value?: unknown; error?: string }) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if (answer.error === undefined) waiting?.resolve(answer.value);
      else waiting?.reject(new Error(answer.error));
    });
  }

  #ask(method: string, args: readonly unknown[]): Promise<unknown> {
    this.#calls += 1;
    const id = this.#calls;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, method, args });
    });
  }

  /** Opens the datapath; true if pinned maps were adopted. */
  open(options: OpenOptions): Promise<unknown> {
    return this.#ask('open', [options]);
  }

  call<K extends keyof Call>(method: K, ...args: Parameters<Call[K]>): Promise<Awaited<ReturnType<Call[K]>>> {
    // The one place where the process's border is crossed: the worker calls the method of the same name.
    return this.#ask(method, args) as Promise<Awaited<ReturnType<Call[K]>>>;
  }

  uninstall(pinDir: string): Promise<unknown> {
    return this.#ask('uninstall', [pinDir]);
  }

  /** Events and losses since the last call. */
  events(): Promise<{ events: addon.FlowEvent[]; lost: number }> {
    return this.#ask('collectedEvents', []) as Promise<{ events: addon.FlowEvent[]; lost: number }>;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}

export class Lab {
  readonly directory: string;
  readonly bpf: string;
  readonly cgroup: string;
  readonly #holder: ChildProcess;
  readonly #cgroupMount: string;
  readonly #workers: Worker[] = [];
  readonly #netns: string[] = [];

  private constructor(holder: ChildProcess, directory: string) {
    this.#holder = holder;
    this.directory = directory;
    this.bpf = join(directory, 'bpf');
    this.#cgroupMount = join(directory, 'cgroup');
    this.cgroup = join(this.#cgroupMount, `wnat-${process.pid}-${holder.pid}`);
  }

  static async start(): Promise<Lab> {
    const directory = mkdtempSync(join(tmpdir(), 'wnat-'));
    const ready = 'echo ready && exec sleep infinity';
    const holder = spawn('unshare', ['-n', '-m', 'sh', '-c', ready], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once('data', () => resolve());
      holder.once('exit', () => reject(new Error('unshare -n -m failed')));
    });
    const lab = new Lab(holder, directory);
    for (const name of [lab.bpf, join(directory, 'cgroup')]) mkdirSync(name);
    lab.run('mount', '-t', 'bpf', 'bpf', lab.bpf);
    lab.run('mount', '-t', 'cgroup2', 'cgroup2', join(directory, 'cgroup'));
    lab.run('mkdir', lab.cgroup);
    lab.run('ip', 'link', 'set', 'lo', 'up');
    lab.run('ip', 'link', 'add', 'under0', 'type', 'veth', 'peer', 'name', 'under1');
    lab.run('ip', 'link', 'set', 'under0', 'up');
    lab.run('ip', 'link', 'set', 'under1', 'up');
    lab.run('ip', 'addr', 'add', '192.168.7.1/24', 'dev', 'under0');
    return lab;
  }

  #enter(): string[] {
    return ['-t', `${this.#holder.pid}`, '-n', '-m'];
  }

  /** Standard output of a command inside; throws if it fails. */
  run(...command: string[]): string {
    return execFileSync('nsenter', [...this.#enter(), ...command], { encoding: 'utf8' });
  }

  /** The same with input and environment, without throwing and without holding up this process. */
  execute(
    command: string,
    args: readonly string[],
    input: string,
    environment: Readonly<Record<string, string>>,
  ): Promise<{ status: number | null; stdout: string; stderr: string }> {
    const child = spawn('nsenter', [...this.#enter(), command, ...args], {
      env: { PATH: process.env.PATH ?? '', ...environment },
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data: Buffer) => {
      stdout += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    return new Promise((resolve) => {
      child.on('close', (status) => resolve({ status, stdout, stderr }));
    });
  }

  /** A named network namespace for a pod; its path. */
  addNetns(name: string): string {
    const full = `wnat-${process.pid}-${name}`;
    this.run('ip', 'netns', 'add', full);
    this.#netns.push(full);
    return `/run/netns/${full}`;
  }

  worker(): Worker {
    const script = join(import.meta.dirname, 'worker.ts');
    const child = spawn('nsenter', [...this.#enter(), process.execPath, script], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    const worker = new Worker(child);
    this.#workers.push(worker);
    return worker;
  }

  options(): OpenOptions {
    return { pinDir: join(this.bpf, 'weft'), cgroup: this.cgroup, underlay: 'under0', nodeIPv4: '192.168.7.1' };
  }

  async stop(): Promise<void> {
    for (const worker of this.#workers) await worker.kill();
    for (const name of this.#netns) this.run('ip', 'netns', 'del', name);
    spawnSync('nsenter', [...this.#enter(), 'rm', '-rf', join(this.bpf, 'weft')]);
    spawnSync('nsenter', [...this.#enter(), 'rmdir', this.cgroup]);
    const gone = new Promise((resolve) => this.#holder.once('exit', resolve));
    this.#holder.kill('SIGKILL');
    await gone;
    for (const name of [this.bpf, this.#cgroupMount]) rmdirSync(name);
    rmSync(this.directory, { recursive: true });
  }
}
