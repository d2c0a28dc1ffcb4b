/** What goes into a layer, as people say it, turned into the entries of a tar archive. */
import { lstatSync, readdirSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { TarEntry } from './tar.ts';

/** One thing in a layer. Paths in the image are absolute; directories above them are made with mode 0755. */
export type Source =
  /** A file, or a directory with all below it, of this machine; owned by root in the image unless `keepOwners`. */
  | {
      readonly from: string;
      readonly to: string;
      /** Permission bits of the file; those it has if absent. */
      readonly mode?: number;
      readonly keepOwners?: boolean;
    }
  | { readonly content: string | Uint8Array; readonly to: string; readonly mode?: number }
  | { readonly symlink: string; readonly to: string }
  | { readonly directory: string; readonly mode?: number };

/** The entries of the sources, by path; of two for one path the later source wins. */
export function layerEntries(sources: readonly Source[]): TarEntry[] {
  const entries = new Map<string, TarEntry>();
  for (const source of sources) {
    for (const entry of entriesOf(source)) {
      for (const path of parentsOf(entry.path)) {
        if (!entries.has(path)) entries.set(path, { type: 'directory', path, mode: 0o755 });
      }
      entries.set(entry.path, entry);
    }
  }
  // A directory sorts before what is in it, and the first name of a file before its other names.
  const rank = (entry: TarEntry) => (entry.type === 'hardlink' ? 1 : 0);
  return [...entries.values()].sort((a, b) => rank(a) - rank(b) || (a.path < b.path ? -1 : 1));
}

function* entriesOf(source: Source): Generator<TarEntry> {
  if ('from' in source) {
    yield* walk(source.from, relative(source.to), source, new Map());
  } else if ('content' in source) {
    const content = typeof source.content === 'string' ? Buffer.from(source.content) : source.content;
    yield { type: 'file', path: relative(source.to), mode: source.mode ?? 0o644, size: content.length, content };
  } else if ('symlink' in source) {
    yield { type: 'symlink', path: relative(source.to), mode: 0o777, target: source.symlink };
  } else {
    yield { type: 'directory', path: relative(source.directory), mode: source.mode ?? 0o755 };
  }
}

function* walk(
  file: string,
  path: string,
  options: { readonly mode?: number; readonly keepOwners?: boolean },
  inodes: Map<number, string>,
  top = true,
): Generator<TarEntry> {
  // The named thing itself may be a link to what is meant; links inside a directory stay links.
  const stat = top ? statSync(file) : lstatSync(file);
  const common = { path, mode: stat.mode & 0o7777, ...owners(stat, options.keepOwners) };
  if (stat.isDirectory()) {
    const owning = options.keepOwners ? { keepOwners: true } : {};
    if (path !== '') yield { ...common, type: 'directory' };
    for (const name of readdirSync(file).sort()) {
      yield* walk(join(file, name), posix.join(path, name), owning, inodes, false);
    }
  } else if (stat.isSymbolicLink()) {
    yield { ...common, type: 'symlink', target: readlinkSync(file) };
  } else if (stat.isFile()) {
    const first = stat.nlink > 1 ? inodes.get(stat.ino) : undefined;
    if (first !== undefined) {
      yield { ...common, type: 'hardlink', target: first };
      return;
    }
    inodes.set(stat.ino, path);
    yield { ...common, mode: options.mode ?? common.mode, type: 'file', size: stat.size, content: { file } };
  }
  // Devices, sockets and pipes have no place in an image: the runtime makes /dev.
}

function owners(stat: Stats, keep: boolean | undefined): { uid?: number; gid?: number } {
  return keep ? { uid: stat.uid, gid: stat.gid } : {};
}

function relative(path: string): string {
  if (!path.startsWith('/')) throw new Error(`a path in an image is absolute, not ${path}`);
  return posix.normalize(path).replace(/^\/+/, '').replace(/\/+$/, '');
}

function parentsOf(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_part, index) => parts.slice(0, index + 1).join('/'));
}
