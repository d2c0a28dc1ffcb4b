/** Writes tar archives as a stream: ustar (POSIX.1-1988) with pax headers (POSIX.1-2001) for long names. */
import { createReadStream } from 'node:fs';

export type TarEntry = {
  /** Relative, without a leading slash; a directory's without a trailing one. */
  readonly path: string;
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
} & (
  | { readonly type: 'directory' }
  | { readonly type: 'file'; readonly size: number; readonly content: Uint8Array | { readonly file: string } }
  | { readonly type: 'symlink' | 'hardlink'; readonly target: string }
);

const typeFlags = { file: '0', hardlink: '1', symlink: '2', directory: '5' } as const;
const block = 512;

/** The bytes of an archive with these entries in this order; the same entries always give the same bytes. */
export async function* tar(entries: Iterable<TarEntry>): AsyncGenerator<Uint8Array> {
  for (const entry of entries) yield* record(entry);
  yield Buffer.alloc(2 * block);
}

async function* record(entry: TarEntry): AsyncGenerator<Uint8Array> {
  const name = entry.type === 'directory' ? `${entry.path}/` : entry.path;
  const link = 'target' in entry ? entry.target : '';
  const size = entry.type === 'file' ? entry.size : 0;
  const long = [...(fits(name) ? [] : [pax('path', name)]), ...(fits(link) ? [] : [pax('linkpath', link)])].join('');
  if (long !== '') {
    const bytes = Buffer.from(long);
    yield header({ name: 'pax', mode: 0o644, uid: 0, gid: 0, size: bytes.length, flag: 'x', link: '' });
    yield bytes;
    yield padding(bytes.length);
  }
  const { mode, uid = 0, gid = 0 } = entry;
  yield header({ name: cut(name), mode, uid, gid, size, flag: typeFlags[entry.type], link: cut(link) });
  if (entry.type !== 'file') return;
  yield* content(entry.path, entry.content, entry.size);
  yield padding(size);
}

async function* content(path: string, from: Uint8Array | { file: string }, size: number): AsyncGenerator<Uint8Array> {
  let sent = 0;
  const chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array> =
    'file' in from ? createReadStream(from.file, { highWaterMark: 1 << 20 }) : [from];
  for await (const chunk of chunks) {
    sent += chunk.length;
    yield chunk;
  }
  if (sent !== size)
    throw new Error(`${path} changed from ${size} to ${sent} bytes while it was written to an archive`);
}

function header(of: {
  name: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  flag: string;
  link: string;
}): Uint8Array {
  const bytes = Buffer.alloc(block);
  const octal = (value: number, width: number) => `${value.toString(8).padStart(width - 1, '0')}\0`;
  bytes.write(of.name, 0, 100);
  bytes.write(octal(of.mode & 0o7777, 8), 100);
  bytes.write(octal(of.uid, 8), 108);
  bytes.write(octal(of.gid, 8), 116);
  bytes.write(octal(of.size, 12), 124);
  bytes.write(octal(0, 12), 136); // time: always 1970, so that equal contents are equal archives
  bytes.write(' '.repeat(8), 148);
  bytes.write(of.flag, 156);
  bytes.write(of.link, 157, 100);
  bytes.write('ustar\x0000', 257);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return bytes;
}

function fits(text: string): boolean {
  return Buffer.byteLength(text) <= 100;
}

function cut(text: string): string {
  return fits(text)
    ? text
    : Buffer.from(text)
        .subarray(0, 100)
        .toString('latin1')
        .replaceAll(/[^ -~]/g, '_');
}

/** A pax record starts with its own length in bytes, which counts itself. */
function pax(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function padding(size: number): Uint8Array {
  return Buffer.alloc((block - (size % block)) % block);
}
