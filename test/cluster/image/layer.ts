/** Layers: tar files in the cache, named by what they hold. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { cached, hashOf } from '../cache.ts';
import { layerEntries, type Source } from './entries.ts';
import { type TarEntry, tar } from './tar.ts';

export interface Layer {
  /** The uncompressed tar file. */
  readonly file: string;
  /** `sha256:…` of the file; its diff id as well, being uncompressed. */
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

/** The layer with these sources; one with the same contents is made once. Nothing is held in memory. */
export async function buildLayer(sources: readonly Source[]): Promise<Layer> {
  const entries = layerEntries(sources);
  const parts = await Promise.all(entries.map(describe));
  return layerOf(hashOf(...parts), entries);
}

/** A layer under a name of the caller's, for contents that `make` takes long to produce. */
export async function cachedLayer(hash: string, make: () => Promise<readonly Source[]>): Promise<Layer> {
  return readLayer(await cached('layers', hash, async (out) => writeLayer(out, layerEntries(await make()))));
}

async function layerOf(hash: string, entries: readonly TarEntry[]): Promise<Layer> {
  return readLayer(await cached('layers', hash, (out) => writeLayer(out, entries)));
}

async function writeLayer(out: string, entries: readonly TarEntry[]): Promise<void> {
  mkdirSync(out, { recursive: true });
  const hash = createHash('sha256');
  await pipeline(
    Readable.from(tar(entries)),
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        hash.update(chunk);
        yield chunk;
      }
    },
    createWriteStream(join(out, 'layer.tar')),
  );
  writeFileSync(join(out, 'digest'), `sha256:${hash.digest('hex')}`);
}

function readLayer(dir: string): Layer {
  const file = join(dir, 'layer.tar');
  return { file, digest: readFileSync(join(dir, 'digest'), 'utf8'), size: statSync(file).size };
}

/** One line for an entry that changes whenever the bytes of its record do. */
async function describe(entry: TarEntry): Promise<string> {
  const { path, mode, uid = 0, gid = 0, type } = entry;
  const common = [type, path, mode, uid, gid];
  if (type === 'file') return JSON.stringify([...common, entry.size, await contentHash(entry.content)]);
  return JSON.stringify([...common, type === 'directory' ? '' : entry.target]);
}

async function contentHash(content: Uint8Array | { readonly file: string }): Promise<string> {
  const hash = createHash('sha256');
  if (!('file' in content)) return hash.update(content).digest('hex');
  await pipeline(createReadStream(content.file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}
