/** The program `mapwatch`: tells when the kernel's tables hold what is waited for, read from outside of the agent. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { goTool } from './gotool.ts';

/** CLOCK_MONOTONIC in milliseconds: the clock that mapwatch tells. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Least numbers of rows; of pods those with a device and a policy. */
export interface Rows {
  readonly pods: number;
  readonly policy: number;
  readonly addresses: number;
  readonly services: number;
}

export class MapWatch {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  #said = '';

  private constructor(program: string, args: readonly string[]) {
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args]);
    this.#child.stderr.on('data', (text: Buffer) => {
      this.#said += text.toString();
    });
    this.#child.stdin.on('error', () => {});
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** @param directory the pins of a layout, as /proc/PID/root/sys/fs/bpf/weft/v2 for a node in namespaces of its own */
  static async verdicts(directory: string): Promise<MapWatch> {
    return new MapWatch(await goTool('mapwatch'), ['verdict', directory]);
  }

  static async rows(directory: string, { pods, policy, addresses, services }: Rows): Promise<MapWatch> {
    const least = [pods, policy, addresses, services].map(String);
    return new MapWatch(await goTool('mapwatch'), ['count', directory, ...least]);
  }

  /** When the pod's ingress allows TCP port `allowed` from the peer and not port `denied` (0: no port), in ms. */
  verdict(pod: string, peer: string, allowed: number, denied: number): Promise<number> {
    this.#child.stdin.write(`${pod} ${peer} ${allowed} ${denied}\n`);
    return this.next();
  }

  /** The next answer of the program, ms. */
  async next(): Promise<number> {
    const { done, value } = await this.#lines.next();
    if (done === true) throw new Error(`mapwatch ended: ${this.#said.trim() || 'without a word'}`);
    return Number(value) / 1e6;
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}
