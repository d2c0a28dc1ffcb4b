/**
 * The ledger: an append-only file of JSON lines that names every thing that a cluster makes on its machine,
 * written before the thing is made. Whatever kills the process that was making them, `down` finds the
 * complete list here, and removes what is listed and nothing else.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';

const Entry = z.discriminatedUnion('kind', [
  /** First line. Processes, links and cgroups of an earlier boot are gone by themselves. */
  z.object({ kind: z.literal('cluster'), version: z.literal(1), name: z.string(), boot: z.string() }),
  /** `start`: clock ticks since boot (field 22 of /proc/PID/stat), so that a reused pid is never ended. */
  z.object({ kind: z.literal('process'), name: z.string(), pid: z.number().int().positive(), start: z.string() }),
  /** A network interface in the machine's own network namespace. */
  z.object({ kind: z.literal('link'), name: z.string() }),
  /** A cgroup of this path (from the root) in every hierarchy, with all below it. */
  z.object({ kind: z.literal('cgroup'), path: z.string().startsWith('/weft-') }),
  /** A file, or a directory with all that is in it. */
  z.object({ kind: z.literal('path'), path: z.string().startsWith('/') }),
  /** A directory that goes only if it is empty at the end. */
  z.object({ kind: z.literal('directory'), path: z.string().startsWith('/') }),
]);
export type Entry = z.infer<typeof Entry>;
export type ProcessEntry = Extract<Entry, { kind: 'process' }>;

export interface Ledger {
  readonly file: string;
  append(entry: Entry): void;
}

export function ledgerFile(dir: string): string {
  return join(dir, 'ledger');
}

/** Starts a ledger in `dir`, which it makes if needed. */
export function createLedger(dir: string, name: string): Ledger {
  const missing = missingParents(dir);
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const ledger = openLedger(dir);
  ledger.append({ kind: 'cluster', version: 1, name, boot: bootId() });
  for (const path of missing) ledger.append({ kind: 'directory', path });
  return ledger;
}

export function openLedger(dir: string): Ledger {
  const file = ledgerFile(dir);
  return { file, append: (entry) => appendFileSync(file, `${JSON.stringify(entry)}\n`, { mode: 0o600 }) };
}

/** The ledger's entries, oldest first; undefined if there is none. @throws Error naming the line that is malformed */
export function readLedger(dir: string): Entry[] | undefined {
  const file = ledgerFile(dir);
  if (!existsSync(file)) return undefined;
  return parseLedger(readFileSync(file, 'utf8'), file);
}

export function parseLedger(text: string, file: string): Entry[] {
  const lines = text.split('\n');
  // Every complete line ends with a line break: what follows the last one is a write that was cut.
  lines.pop();
  return lines.map((line, index) => {
    const parsed = Entry.safeParse(tryJson(line));
    if (!parsed.success) {
      throw new Error(
        `${file}:${index + 1} is not an entry of a cluster's ledger: ${line.slice(0, 80)}; remove the line if it is none of Weft's`,
      );
    }
    return parsed.data;
  });
}

/** Identifies this boot of the kernel. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

function tryJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** The directories that making `dir` makes, outermost first. */
function missingParents(dir: string): string[] {
  const missing: string[] = [];
  for (let path = dir; !existsSync(path); path = dirname(path)) missing.unshift(path);
  return missing;
}
