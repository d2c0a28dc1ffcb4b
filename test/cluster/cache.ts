/** Results of slow builds, kept outside of the checkout under a hash of what they were made from. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, relative } from 'node:path';

export function cacheDir(): string {
  const base = process.env.XDG_CACHE_HOME;
  return join(base?.startsWith('/') ? base : join(homedir(), '.cache'), 'weft');
}

/** sha256 in hex of the parts; their borders count, so ['ab','c'] is not ['a','bc']. */
export function hashOf(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest('hex');
}

/** Hash of all files below a directory: their paths and contents. */
export function hashTree(dir: string): string {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return hashOf(...files.flatMap((file) => [relative(dir, file), readFileSync(file)]));
}

/**
 * The path of a cached result (a file or a directory) of this kind and hash; made by `build` if it is not there.
 * It is built under another name and then renamed: nobody ever sees half a result.
 */
export async function cached(kind: string, hash: string, build: (path: string) => Promise<void>): Promise<string> {
  const folder = join(cacheDir(), kind);
  const path = join(folder, hash.slice(0, 24));
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  removeAbandoned(folder);
  const partial = `${path}.partial-${process.pid}`;
  rmSync(partial, { recursive: true, force: true });
  try {
    await build(partial);
    // Two processes may have built the same: the first one's result stays.
    if (!existsSync(path)) renameSync(partial, path);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return path;
}

/** Is the result there, without building it? */
export function isCached(kind: string, hash: string): boolean {
  return existsSync(join(cacheDir(), kind, hash.slice(0, 24)));
}

function removeAbandoned(folder: string): void {
  for (const name of readdirSync(folder)) {
    const pid = /\.partial-(\d+)$/.exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    // A pid is reused at some time: only what nobody has touched for an hour, or whose process is gone, goes.
    const path = join(folder, name);
    if (statSync(path, { throwIfNoEntry: false })) rmSync(path, { recursive: true, force: true });
  }
}
