/** A node in namespaces of its own, as the suites hold it; when its process ends, everything in it is gone. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { checkout } from '../../test/local/build.ts';
import { buildBundles, bundlePath } from '../../test/local/bundles.ts';
import { onEnd } from '../cleanup.ts';
import { Scratch } from '../scratch.ts';
import type { NodeConfig, Request } from './protocol.ts';

export class BenchNode {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #end: () => Promise<void>;

  private constructor(child: ChildProcessWithoutNullStreams, end: () => Promise<void>) {
    this.#child = child;
    this.#end = end;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** Returns when the pods have their network. */
  static async start(pods: number, services: number): Promise<BenchNode> {
    const scratch = new Scratch();
    let child: ChildProcessWithoutNullStreams | undefined;
    const end = onEnd(async () => {
      if (child !== undefined) await ended(child);
      scratch.remove();
    });
    try {
      const program = await installAgent(join(scratch.directory, 'weft'));
      const config: NodeConfig = { dir: scratch.directory, program, cgroup: scratch.cgroup, pods, services };
      const namespaces = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
      const node = [process.execPath, join(import.meta.dirname, 'node.ts'), JSON.stringify(config)];
      child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'unshare', ...namespaces, 'taskset', '-c', '0', ...node]);
      child.stderr.pipe(process.stderr);
      const bench = new BenchNode(child, end);
      await bench.#next();
      return bench;
    } catch (error) {
      await end();
      throw error;
    }
  }

  /** @returns the answer's field */
  async ask(request: Request, field: string): Promise<number> {
    return (await this.askAll(request))[field] ?? Number.NaN;
  }

  async askAll(request: Request): Promise<Readonly<Record<string, number>>> {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    return JSON.parse(await this.#next());
  }

  stop(): Promise<void> {
    return this.#end();
  }

  async #next(): Promise<string> {
    const { done, value } = await this.#lines.next();
    if (done === true) throw new Error('the node of the benchmark ended; what it said is above');
    return value;
  }
}

/** Puts into a directory what the agent's image has. @returns the program */
async function installAgent(directory: string): Promise<string> {
  await buildBundles();
  mkdirSync(directory);
  const dist = join(checkout, 'datapath-native', 'dist');
  for (const file of [join(dist, 'bpf-loader-napi.node'), join(dist, 'weft-cni'), bundlePath('agent')]) {
    copyFileSync(file, join(directory, file.slice(file.lastIndexOf('/') + 1)));
  }
  return join(directory, 'agent.mjs');
}

async function ended(child: ChildProcessWithoutNullStreams): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exit;
}
