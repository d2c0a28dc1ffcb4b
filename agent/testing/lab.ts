/** A node for one agent: to be made inside fresh network and mount namespaces, which take all of it away again. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestOperator } from './operator.ts';

const root = join(import.meta.dirname, '..', '..');

export const cniBinary = join(root, 'datapath-native', 'dist', 'weft-cni');
export const sh = (command: string): string => execFileSync('sh', ['-ec', command], { encoding: 'utf8' });
export const namespaceOf = (pod: string): string => `wagt-${pod}`;

export class AgentLab {
  readonly operator: TestOperator;
  readonly dir: string;
  readonly #main: string;
  readonly #api: string;
  readonly #cgroup: string;

  private constructor(dir: string, main: string, operator: TestOperator, api: string) {
    this.dir = dir;
    this.#main = main;
    this.operator = operator;
    this.#api = api;
    this.#cgroup = `${dir}/cgroup/wagt-${process.pid}`;
  }

  /** @param main the agent's program; default: its sources */
  static async make(dir: string, main = join(root, 'agent', 'main.ts')): Promise<AgentLab> {
    sh(`mount --make-rprivate /; mkdir -p ${dir}/bpf ${dir}/cgroup ${dir}/run ${dir}/conf ${dir}/bin ${dir}/account
mount -t bpf bpf ${dir}/bpf; mount -t cgroup2 none ${dir}/cgroup; mkdir -p ${dir}/cgroup/wagt-${process.pid}
mount -t tmpfs tmpfs /run/netns 2>/dev/null || { mkdir -p /run/netns; mount -t tmpfs tmpfs /run/netns; }
ip link set lo up; ip link add u0 type veth peer name u1; ip link set u0 up; ip link set u1 up
ip addr add 10.250.7.1/24 dev u0; ip addr add fd00:250::1/64 dev u0 nodad`);
    const operator = await TestOperator.start('n1', `${dir}/ca`);
    const api = await operator.serveApi();
    writeFileSync(join(dir, 'account', 'token'), 'api-token');
    writeFileSync(join(dir, 'account', 'ca.crt'), operator.caPem);
    writeFileSync(join(dir, 'token'), 'operator-token');
    return new AgentLab(dir, main, operator, api);
  }

  startAgent(): ChildProcess {
    const { dir } = this;
    const flags = {
      'node-name': 'n1',
      'api-server': this.#api,
      'run-dir': `${dir}/run`,
      'pin-dir': `${dir}/bpf/weft`,
      'envoy-dir': `${dir}/run/envoy`,
      cgroup: this.#cgroup,
      'cni-conf-dir': `${dir}/conf`,
      'cni-bin-dir': `${dir}/bin`,
      'cni-binary': cniBinary,
      'token-file': `${dir}/token`,
      'account-dir': `${dir}/account`,
    };
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    return spawn(process.execPath, [this.#main, ...args], { stdio: ['ignore', 'inherit', 'inherit'] });
  }

  /** Waits until pods can be given a network. @returns how long that took, ms */
  async ready(): Promise<number> {
    const started = performance.now();
    for (let i = 0; i < 400; i++) {
      const answer = await fetch('http://127.0.0.1:15021/readyz').catch(() => undefined);
      if (answer?.ok) return performance.now() - started;
      await sleep(25);
    }
    throw new Error('the agent did not become ready');
  }

  /** The reply lines of the control socket. */
  ask(request: unknown): Promise<unknown[]> {
    return new Promise((resolve, reject) => {
      let text = '';
      const socket = connect(`${this.dir}/run/agent.sock`, () => socket.write(`${JSON.stringify(request)}\n`));
      socket.on('data', (chunk) => {
        text += chunk.toString();
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(parseLines(text)));
    });
  }

  /** Runs weft-cni as a runtime does. @returns its result, or {failed} with what it said */
  cni(command: string, pod: string): unknown {
    const conf = { cniVersion: '1.0.0', name: 'weft', type: 'weft-cni', socket: `${this.dir}/run/cni.sock` };
    const env = {
      ...process.env,
      CNI_COMMAND: command,
      CNI_CONTAINERID: `c-${pod}`,
      CNI_IFNAME: 'eth0',
      CNI_PATH: this.dir,
      CNI_ARGS: `K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${pod};K8S_POD_UID=uid-${pod};K8S_POD_INFRA_CONTAINER_ID=c-${pod}`,
      CNI_NETNS: `/run/netns/${namespaceOf(pod)}`,
    };
    try {
      const out = execFileSync(cniBinary, { encoding: 'utf8', input: JSON.stringify(conf), env });
      return out === '' ? {} : JSON.parse(out);
    } catch (error) {
      return { failed: String(Reflect.get(Object(error), 'stdout')) };
    }
  }

  /** An empty bpffs in place of what is pinned: nothing of the datapath is left. */
  forgetKernel(): void {
    sh(`umount -l ${this.dir}/bpf; mount -t bpf bpf ${this.dir}/bpf`);
  }

  /** Ends what still runs in the pods' namespaces and takes the cgroup away; the namespaces go with this process. */
  async clear(pods: readonly string[]): Promise<void> {
    for (const pod of pods) {
      if (!existsSync(`/run/netns/${namespaceOf(pod)}`)) continue;
      sh(`ip netns pids ${namespaceOf(pod)} | xargs -r kill; ip netns del ${namespaceOf(pod)} || true`);
    }
    await sleep(300);
    sh(`rmdir ${this.#cgroup} || true`);
  }
}

function parseLines(text: string): unknown[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line): unknown => JSON.parse(line));
}
