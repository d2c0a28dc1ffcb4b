/** Envoy's pod without Kubernetes: weft-envoy as a process, and the agent's ends of its sockets. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Report {
  readonly pod: string;
  readonly envoy: string;
  readonly state: 'idle' | 'starting' | 'running' | 'draining' | 'stopped';
  readonly pid?: number;
  readonly restarts: number;
  readonly error?: string;
}

/** As in the chart. */
const group = 1337;
const binary = join(import.meta.dirname, '..', 'dist', 'weft-envoy');

/** A server on a unix socket that the pod's user may connect to. */
async function listen(server: Server, path: string): Promise<void> {
  server.listen(path);
  await once(server, 'listening');
  chownSync(path, 0, group);
  chmodSync(path, 0o660);
}

export class EnvoyPod {
  readonly dir: string;
  /** Of the agent: its sockets. */
  readonly agentDir: string;
  readonly reports: Report[] = [];
  readonly records: string[] = [];
  log = '';
  #supervisor: ChildProcess | undefined;
  #server: Server | undefined;
  #recordServer: Server | undefined;
  readonly #sockets = new Set<Socket>();
  #order = '';
  readonly #waiting = new Set<() => void>();

  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), 'weft-pod-'));
    chmodSync(this.dir, 0o755);
    this.agentDir = join(this.dir, 'agent');
    for (const [path, mode] of [
      [this.agentDir, 0o750],
      [join(this.dir, 'run'), 0o777],
    ] as const) {
      mkdirSync(path);
      chmodSync(path, mode);
    }
    chownSync(this.agentDir, 0, group);
  }

  /** The file that runs as Envoy: a copy, because the pod's user may read this directory only. */
  program(from: string): void {
    copyFileSync(from, join(this.dir, 'envoy'));
    chmodSync(join(this.dir, 'envoy'), 0o755);
  }

  /** A shell script in Envoy's place, which answers --version as Envoy does. */
  script(text: string): void {
    const version = '[ "$1" = --version ] && { echo "envoy  version: c0ffee/0.0.1/Clean"; exit; }';
    writeFileSync(join(this.dir, 'envoy'), `#!/bin/sh\n${version}\n${text}\n`);
    chmodSync(join(this.dir, 'envoy'), 0o755);
  }

  /** @param bootstrap as the chart makes it; its paths are changed to the directories here */
  start(port: number, bootstrap: object = {}, wrap: readonly string[] = [], flags: readonly string[] = []): void {
    const text = JSON.stringify(bootstrap)
      .replaceAll('/run/weft/envoy', this.agentDir)
      .replaceAll('/run/envoy', join(this.dir, 'run'));
    writeFileSync(join(this.dir, 'bootstrap.json'), text);
    const [command = '', ...args] = [
      ...wrap,
      binary,
      '--node-id=pod-1',
      `--bootstrap=${join(this.dir, 'bootstrap.json')}`,
      `--envoy=${join(this.dir, 'envoy')}`,
      `--dir=${this.agentDir}`,
      `--run-dir=${join(this.dir, 'run')}`,
      `--ready-port=${port}`,
      ...flags,
    ];
    this.#supervisor = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#supervisor.stderr?.on('data', (data: Buffer) => {
      this.log += data.toString();
      this.#wake();
    });
    this.#supervisor.on('exit', () => this.#wake());
  }

  get pid(): number {
    return this.#supervisor?.pid ?? 0;
  }

  get exitCode(): number | null {
    return this.#supervisor?.exitCode ?? null;
  }

  kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#supervisor?.kill(signal);
  }

  /** The agent comes up and says whether Envoy is to run. */
  async agentUp(run: boolean): Promise<void> {
    this.#order = `{"run":${run}}\n`;
    this.#server = createServer((socket) => {
      this.#keep(socket);
      socket.write(this.#order);
      createInterface({ input: socket }).on('line', (line) => {
        this.reports.push(JSON.parse(line) as Report);
        this.#wake();
      });
    });
    await listen(this.#server, join(this.agentDir, 'supervisor.sock'));
  }

  /** The agent is killed: connections end, and its socket stays behind. */
  async agentDown(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const server = this.#server;
    this.#server = undefined;
    await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)));
  }

  order(run: boolean): void {
    this.#order = `{"run":${run}}\n`;
    this.say(this.#order);
  }

  /** Text to every supervisor that is connected. */
  say(text: string): void {
    for (const socket of this.#sockets) socket.write(text);
  }

  /** Reads access records from now on. */
  async recordsUp(): Promise<void> {
    this.#recordServer = createServer((socket) => {
      this.#keep(socket);
      createInterface({ input: socket }).on('line', (line) => {
        this.records.push(line);
        this.#wake();
      });
    });
    await listen(this.#recordServer, join(this.agentDir, 'records.sock'));
  }

  /** Waits until something is so; looks again whenever something happened. */
  async until(what: string, is: () => boolean, timeoutMs = 10_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!is()) {
      const left = deadline - performance.now();
      if (left <= 0) {
        throw new Error(`not within ${timeoutMs} ms: ${what}\n${JSON.stringify(this.reports.slice(-5))}\n${this.log}`);
      }
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          this.#waiting.delete(done);
          resolve();
        };
        const timer = setTimeout(done, Math.min(left, 50));
        this.#waiting.add(done);
      });
    }
  }

  /** The first report with that state after those of before. */
  async state(state: Report['state'], timeoutMs?: number): Promise<Report> {
    await this.until(`state ${state}`, () => this.reports.at(-1)?.state === state, timeoutMs);
    return this.reports.at(-1) as Report;
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }

  async stop(): Promise<void> {
    const supervisor = this.#supervisor;
    if (supervisor !== undefined && supervisor.exitCode === null && supervisor.signalCode === null) {
      supervisor.kill('SIGKILL');
      await once(supervisor, 'exit');
    }
    await this.agentDown();
    this.#recordServer?.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
