import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { NodeConfig } from './node.ts';

/** Loads Weft's programs in a node's network namespace. @returns the process that ends them when its input ends */
export async function loadWeft(namespace: string, config: NodeConfig): Promise<ChildProcess> {
  // nsenter, because ip netns exec would hide the mounts of bpffs and cgroup2 below /sys.
  const child = spawn(
    'setpriv',
    [
      ...['--pdeathsig', 'KILL', '--', 'nsenter', `--net=/run/netns/${namespace}`],
      process.execPath,
      join(import.meta.dirname, 'node.ts'),
      JSON.stringify(config),
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', () => reject(new Error('the node of the benchmark ended')));
  });
  return child;
}
