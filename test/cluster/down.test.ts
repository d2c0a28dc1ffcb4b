import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { goProgram } from './gobuild.ts';
import { clusterImages } from './image/cluster-images.ts';
import { ledgerFile } from './ledger.ts';
import { clusterId } from './plan.ts';
import { whyNotHere } from './prerequisites.ts';
import { capture, run } from './run.ts';

const skip = whyNotHere();
const describeHere = skip === undefined ? describe : describe.skip;
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
const main = join(import.meta.dirname, 'main.ts');

/**
 * `up` and `down` run in mount and network namespaces of this test's own: what they leave there is all theirs, however
 * busy the machine is. Processes and cgroups have no such room, and are known by the cluster's mark.
 */
describeHere(`taking a cluster down${skip === undefined ? '' : ` (skipped: ${skip})`}`, () => {
  const parent = mkdtempSync(join(tmpdir(), 'weft-down-'));
  const dir = join(parent, 'cluster');
  let room: ChildProcess;
  let enter: string[];

  beforeAll(async () => {
    await goProgram('kubernetes');
    await clusterImages(() => {});
    room = spawn('unshare', ['--mount', '--net', 'sh', '-c', 'ip link set lo up && echo ready && exec sleep infinity']);
    if (room.stdout !== null) await once(room.stdout, 'data');
    enter = ['nsenter', '--target', String(room.pid), '--mount', '--net', '--'];
  }, 900_000);

  afterAll(() => {
    room?.kill('SIGKILL');
    rmSync(parent, { recursive: true, force: true });
  });

  const cli = (command: string) => [...enter, process.execPath, main, '--dir', dir, command];

  async function traces(): Promise<Record<string, string>> {
    const seen = Object.entries(commands).map(async ([kind, argv]) => [
      kind,
      (await capture([...enter, ...argv])).stdout,
    ]);
    const files = readdirSync(parent).join(' ');
    return { ...Object.fromEntries(await Promise.all(seen)), ...marked(dir), files };
  }

  test('after a whole up leaves the machine as it was', async () => {
    const before = await traces();
    await run(cli('up'), { timeout: 120_000 });
    const during = await traces();
    // The comparison below is worth something only if these see the cluster.
    for (const kind of ['links', 'routes', 'processes', 'cgroups', 'files'])
      expect(during[kind]).not.toBe(before[kind]);
    await run(cli('down'), { timeout: 60_000 });
    expect(await traces()).toEqual(before);
  }, 200_000);

  test.each([0, 1, 2, 3])(
    'after an up that was killed at a random point (%#) leaves the machine as it was',
    async (third) => {
      const before = await traces();
      const [file = '', ...args] = cli('up');
      // A group of its own would be ended with it; what is killed is the one process that a user sees.
      const up = spawn(file, args, { stdio: 'ignore' });
      const ended = once(up, 'exit');
      while (!existsSync(ledgerFile(dir)) && up.exitCode === null) await sleep(5);
      const delay = Math.random() * 1_500 * (third + 1) ** 1.3;
      await sleep(delay);
      up.kill('SIGKILL');
      await ended;
      await run(cli('down'), { timeout: 60_000 });
      expect({ delay, ...(await traces()) }).toEqual({ delay, ...before });
    },
    100_000,
  );

  test('twice, or without a cluster, is no error', async () => {
    expect(await run(cli('down'))).toContain('there is no cluster');
  }, 30_000);
});

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
