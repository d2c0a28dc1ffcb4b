/** Takes a cluster down by its ledger alone, in whatever state it is. */
import { existsSync, readFileSync, rmdirSync, rmSync, unlinkSync } from 'node:fs';
import { removeCgroup } from './cgroups.ts';
import { bootId, type Entry, ledgerFile, readLedger } from './ledger.ts';
import { endProcess } from './processes.ts';
import { capture } from './run.ts';

/**
 * Removes everything that the ledger in `dir` names, latest first, then the ledger. No ledger: nothing to do.
 * @returns whether there was one
 * @throws Error naming what could not be removed; the ledger then stays, and down can be called again
 */
export async function takeDown(dir: string): Promise<boolean> {
  const entries = readLedger(dir);
  if (entries === undefined) return false;
  const first = entries[0];
  const sameBoot = first?.kind === 'cluster' && first.boot === bootId();
  const latestFirst = entries.toReversed();
  if (sameBoot) {
    // Machines before what runs in them: a dead process 1 takes its whole node along.
    const processes = latestFirst.filter((entry) => entry.kind === 'process');
    await Promise.all(processes.filter((entry) => entry.name.endsWith('/machine')).map(endProcess));
    await Promise.all(processes.map(endProcess));
    for (const entry of unique(latestFirst, 'cgroup')) await removeCgroup(entry.path);
    for (const entry of unique(latestFirst, 'link')) await removeLink(entry.name);
  }
  for (const entry of latestFirst) if (entry.kind === 'path') removePath(entry.path);
  unlinkSync(ledgerFile(dir));
  for (const entry of latestFirst) if (entry.kind === 'directory') removeIfEmpty(entry.path);
  return true;
}

function unique<K extends 'cgroup' | 'link'>(entries: readonly Entry[], kind: K): Extract<Entry, { kind: K }>[] {
  const seen = new Map<string, Extract<Entry, { kind: K }>>();
  for (const entry of entries) if (isKind(entry, kind)) seen.set(JSON.stringify(entry), entry);
  return [...seen.values()];
}

function isKind<K extends Entry['kind']>(entry: Entry, kind: K): entry is Extract<Entry, { kind: K }> {
  return entry.kind === kind;
}

async function removeLink(name: string): Promise<void> {
  // It goes by itself when the namespace of its other end does, perhaps between these two lines.
  await capture(['ip', 'link', 'del', name]);
  if (existsSync(`/sys/class/net/${name}`)) throw new Error(`could not remove the network interface ${name}`);
}

function removePath(path: string): void {
  const below = mountsBelow(path);
  if (below.length > 0) {
    throw new Error(
      `something is mounted at ${below.join(', ')}, which no cluster does: unmount it, then run down again`,
    );
  }
  rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/** Mount points at or below a path, in this process's mount namespace. */
function mountsBelow(path: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point === path || point.startsWith(`${path}/`));
}

function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // Not empty, or gone: someone else's either way.
  }
}
