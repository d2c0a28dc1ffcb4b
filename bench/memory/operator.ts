/** An operator of its own, without a policy or a Service, beside a real API server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestCluster } from '../../controllers/testing/cluster.ts';
import { until } from '../../test/cluster/wait.ts';
import { buildBundles, bundlePath } from '../../test/local/bundles.ts';
import { onEnd } from '../cleanup.ts';
import { type Memory, memoryOf } from './proc.ts';

/** Until a process has given back what its start needed, ms. */
const settleMs = 3_000;

async function freePort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return String(typeof address === 'object' ? address?.port : 0);
}

function spawnNode(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  const command = ['--pdeathsig', 'KILL', '--', 'taskset', '-c', '1', process.execPath, ...args];
  return spawn('setpriv', command, { stdio: 'ignore', env: { ...process.env, ...env } });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

export class BenchOperator {
  readonly #kubeconfig: string;
  readonly #end: () => Promise<void>;

  private constructor(kubeconfig: string, end: () => Promise<void>) {
    this.#kubeconfig = kubeconfig;
    this.#end = end;
  }

  static async start(): Promise<BenchOperator> {
    await buildBundles();
    const dir = mkdtempSync(join(tmpdir(), 'weft-bench-operator-'));
    const cluster = await TestCluster.start();
    const end = onEnd(async () => {
      await cluster.stop();
      rmSync(dir, { recursive: true, force: true });
    });
    await cluster.installWeftCrds();
    const kubeconfig = join(dir, 'kubeconfig');
    const config = cluster.server.config({ token: await cluster.token('weft-operator') });
    writeFileSync(kubeconfig, config.exportConfig(), { mode: 0o600 });
    return new BenchOperator(kubeconfig, end);
  }

  stop(): Promise<void> {
    return this.#end();
  }

  /** Of an operator that has read everything and waits. */
  async memory(): Promise<Memory> {
    const [port, health] = [await freePort(), await freePort()];
    const flags = ['--advertise-address=127.0.0.1', `--port=${port}`, `--health-port=${health}`];
    flags.push(`--control-socket=${this.#kubeconfig}.sock`);
    const child = spawnNode([bundlePath('operator'), ...flags], { KUBECONFIG: this.#kubeconfig });
    try {
      const ready = async (): Promise<boolean> => (await fetch(`http://127.0.0.1:${health}/readyz`)).ok;
      await until('the operator to be ready', ready, { timeout: 30_000 });
      await sleep(settleMs);
      return memoryOf(child.pid ?? 0);
    } finally {
      await end(child);
    }
  }
}

/** Of Node that runs a script of one line. */
export async function bareMemory(): Promise<Memory> {
  const child = spawnNode(['--input-type=module', '--eval', 'setInterval(() => {}, 1e6)']);
  try {
    await sleep(1_000);
    return memoryOf(child.pid ?? 0);
  } finally {
    await end(child);
  }
}
