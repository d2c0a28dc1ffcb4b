/** Long-lived processes: started so that the ledger knows each before its program runs, ended without pid races. */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Ledger, ProcessEntry } from './ledger.ts';
import { until } from './wait.ts';

export interface Launch {
  /** For the ledger and people, as `node1/kubelet`. */
  readonly name: string;
  readonly argv: readonly string[];
  /** Standard output and error are appended here. */
  readonly log: string;
}

/**
 * Starts a program that outlives this process.
 * A shell waits for a word on its input before it becomes the program: the ledger is written between the two.
 * If this process dies in between, the shell reads the end of its input and goes.
 */
export async function launch(ledger: Ledger, { name, argv, log }: Launch): Promise<ProcessEntry> {
  mkdirSync(dirname(log), { recursive: true });
  const out = openSync(log, 'a', 0o644);
  const child = spawn('sh', ['-c', 'read -r go && exec "$@" </dev/null', 'sh', ...argv], {
    detached: true,
    stdio: ['pipe', out, out],
    cwd: '/',
    // Lets a person, or a test, find every process of a cluster, whatever its program.
    env: { ...process.env, WEFT_CLUSTER: ledger.file },
  });
  closeSync(out);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  const pid = child.pid;
  const start = pid === undefined ? undefined : startTime(pid);
  if (pid === undefined || start === undefined) throw new Error(`could not start ${name}: ${argv.join(' ')}`);
  const entry: ProcessEntry = { kind: 'process', name, pid, start };
  ledger.append(entry);
  child.stdin?.on('error', () => {});
  child.stdin?.end('go\n');
  child.unref();
  return entry;
}

/** Clock ticks since boot at which the process started; undefined when it is gone or only waits to be reaped. */
export function startTime(pid: number): string | undefined {
  const stat = readStat(pid);
  if (stat === undefined || stat[0] === 'Z' || stat[0] === 'X') return undefined;
  return stat[19];
}

/** Fields of /proc/PID/stat from the third (state) on: the second may hold spaces and brackets. */
function readStat(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

export function isAlive(entry: Pick<ProcessEntry, 'pid' | 'start'>): boolean {
  return startTime(entry.pid) === entry.start;
}

/** Children of a process, as the kernel lists them. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Sends the signal if the process is still the recorded one; says whether it was. */
export function signal(entry: Pick<ProcessEntry, 'pid' | 'start'>, name: NodeJS.Signals): boolean {
  if (!isAlive(entry)) return false;
  try {
    process.kill(entry.pid, name);
    return true;
  } catch {
    return false;
  }
}

/** Ends a process with SIGKILL and waits until it is gone. */
export async function endProcess(entry: ProcessEntry): Promise<void> {
  if (!signal(entry, 'SIGKILL')) return;
  await until(`${entry.name} (pid ${entry.pid}) to end`, () => !isAlive(entry), { timeout: 20_000, every: 10 });
}
