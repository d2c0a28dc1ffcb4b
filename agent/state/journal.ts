/**
 * What the operator said last, on disk: an agent that restarts while the operator is away still knows its node's
 * state, and never goes back behind what it wrote to the kernel, because a batch is here before it is there.
 *
 * A file of frames (length, CRC-32, payload), appended batch by batch and rewritten when most of it is outdated. A
 * batch counts from its commit frame on; whatever a killed writer left behind the last one is ignored.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { ResourceStore, Upsert } from './store.ts';

const MAGIC = Buffer.from('weft-state-1\n');
const HEADER = 8;
const KIND = { upsert: 1, delete: 2, commit: 3 } as const;
const WRITE_BYTES = 1 << 20;
/** Below this size a file is not worth rewriting. */
const REWRITE_BYTES = 1 << 20;

export class Journal {
  readonly #path: string;
  #fd: number;
  #size: number;

  private constructor(path: string, fd: number, size: number) {
    this.#path = path;
    this.#fd = fd;
    this.#size = size;
  }

  /** Opens the file, or makes it; its resources go into the store. `complete`: it holds at least one batch. */
  static open(path: string, store: ResourceStore): { journal: Journal; complete: boolean } {
    mkdirSync(dirname(path), { recursive: true });
    const { committed, batches } = replay(readOrEmpty(path), store);
    const fd = openSync(path, committed === 0 ? 'w' : 'r+', 0o600);
    if (committed === 0) writeSync(fd, MAGIC, 0, MAGIC.length, 0);
    else ftruncateSync(fd, committed);
    return { journal: new Journal(path, fd, committed || MAGIC.length), complete: batches > 0 };
  }

  /** @param store what the earlier batches made, without this one */
  append(upserts: readonly Upsert[], deletes: readonly string[], store: ResourceStore): void {
    if (this.#size > REWRITE_BYTES && this.#size > 2 * store.bytes) this.#rewrite(store);
    this.#size = writeFrames(this.#fd, this.#size, framesOf(upserts, deletes));
  }

  close(): void {
    closeSync(this.#fd);
  }

  #rewrite(store: ResourceStore): void {
    const scratch = `${this.#path}.new`;
    const fd = openSync(scratch, 'w', 0o600);
    writeSync(fd, MAGIC, 0, MAGIC.length, 0);
    const size = writeFrames(fd, MAGIC.length, framesOf(store.all(), []));
    renameSync(scratch, this.#path);
    closeSync(this.#fd);
    this.#fd = fd;
    this.#size = size;
  }
}

function readOrEmpty(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}

function* framesOf(upserts: Iterable<Upsert>, deletes: readonly string[]): Generator<Buffer> {
  for (const name of deletes) yield frame(KIND.delete, [Buffer.from(name)]);
  for (const { name, version, bytes } of upserts) {
    yield frame(KIND.upsert, [sized(name), sized(version), bytes]);
  }
  yield frame(KIND.commit, []);
}

function frame(kind: number, parts: readonly Uint8Array[]): Buffer {
  const payload = Buffer.concat([Uint8Array.of(kind), ...parts]);
  const header = Buffer.alloc(HEADER);
  header.writeUInt32LE(payload.length, 0);
  header.writeUInt32LE(crc32(payload), 4);
  return Buffer.concat([header, payload]);
}

function sized(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16LE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function writeFrames(fd: number, at: number, frames: Iterable<Buffer>): number {
  let pending: Buffer[] = [];
  let size = 0;
  let offset = at;
  const flush = (): void => {
    const chunk = Buffer.concat(pending);
    for (let done = 0; done < chunk.length; ) {
      const wrote = writeSync(fd, chunk, done, chunk.length - done, offset);
      done += wrote;
      offset += wrote;
    }
    pending = [];
    size = 0;
  };
  for (const next of frames) {
    pending.push(next);
    size += next.length;
    if (size > WRITE_BYTES) flush();
  }
  flush();
  return offset;
}

/** Applies whole batches to the store; returns where the last one ends. */
function replay(file: Buffer, store: ResourceStore): { committed: number; batches: number } {
  if (!file.subarray(0, MAGIC.length).equals(MAGIC)) return { committed: 0, batches: 0 };
  let committed = MAGIC.length;
  let batches = 0;
  let open: Buffer[] = [];
  for (let at = committed; at + HEADER <= file.length; ) {
    const length = file.readUInt32LE(at);
    const payload = file.subarray(at + HEADER, at + HEADER + length);
    if (length === 0 || payload.length !== length || crc32(payload) !== file.readUInt32LE(at + 4)) break;
    at += HEADER + length;
    if (payload[0] !== KIND.commit) {
      open.push(payload);
      continue;
    }
    for (const entry of open) applyFrame(entry, store);
    open = [];
    committed = at;
    batches++;
  }
  return { committed, batches };
}

function applyFrame(payload: Buffer, store: ResourceStore): void {
  if (payload[0] === KIND.delete) {
    store.delete(payload.toString('utf8', 1));
    return;
  }
  const name = readSized(payload, 1);
  const version = readSized(payload, name.end);
  store.set({ name: name.text, version: version.text, bytes: Uint8Array.from(payload.subarray(version.end)) });
}

function readSized(payload: Buffer, at: number): { text: string; end: number } {
  const end = at + 2 + payload.readUInt16LE(at);
  return { text: payload.toString('utf8', at + 2, end), end };
}
