/**
 * OCI image archives (image-spec 1.1, image layout in a tar file), without a registry or a daemon.
 * One archive may hold several images: what they share is in it, and read, once.
 */

import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { cached, hashOf } from '../cache.ts';
import type { Layer } from './layer.ts';
import { type TarEntry, tar } from './tar.ts';

export interface Image {
  /** Full name with a tag, as `weft.local/agent:1`. */
  readonly name: string;
  /** Lowest first. */
  readonly layers: readonly Layer[];
  readonly entrypoint: readonly string[];
  readonly cmd?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** `uid`, `uid:gid` or a name of its /etc/passwd; root if absent. */
  readonly user?: string;
  readonly workingDir?: string;
}

export interface ImageReference {
  readonly name: string;
  /** `sha256:…` of its manifest. */
  readonly digest: string;
}

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The path of an archive with these images; the same images give the same file, made once. */
export async function buildArchive(images: readonly Image[]): Promise<string> {
  const blobs = new Map<string, TarEntry>();
  const manifests = images.map((image) => addImage(image, blobs));
  const index = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests }));
  return cached('images', hashOf(index), async (out) => {
    // The index comes first, so that the archive's images are known from its first kilobytes.
    const entries = [
      bytesEntry('index.json', index),
      bytesEntry('oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}')),
      ...blobs.values(),
    ];
    await pipeline(Readable.from(tar(entries)), createWriteStream(out));
  });
}

const Index = z.object({
  manifests: z.array(
    z.object({ digest: z.string(), annotations: z.object({ 'io.containerd.image.name': z.string() }) }),
  ),
});

/** The images of an archive that `buildArchive` wrote. @throws Error when the file is another kind of archive */
export async function imagesOf(archive: string): Promise<ImageReference[]> {
  const handle = await open(archive);
  try {
    const header = Buffer.alloc(512);
    await handle.read(header, 0, 512, 0);
    const size = Number.parseInt(header.toString('latin1', 124, 135), 8);
    if (!header.toString('latin1', 0, 11).startsWith('index.json') || !(size < 1 << 20)) {
      throw new Error(`${archive} is not an image archive of image/archive.ts: it does not begin with index.json`);
    }
    const text = Buffer.alloc(size);
    await handle.read(text, 0, size, 512);
    const { manifests } = Index.parse(JSON.parse(text.toString('utf8')));
    return manifests.map(({ digest, annotations }) => ({ name: annotations['io.containerd.image.name'], digest }));
  } finally {
    await handle.close();
  }
}

function addImage(image: Image, blobs: Map<string, TarEntry>): object {
  const tag = /^\S+:([\w.-]+)$/.exec(image.name)?.[1];
  if (tag === undefined) throw new Error(`an image's name ends in a tag, as weft.local/agent:1, not ${image.name}`);
  const config = addJson(blobs, {
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: {
      Entrypoint: image.entrypoint,
      ...(image.cmd ? { Cmd: image.cmd } : {}),
      Env: Object.entries({ PATH: defaultPath, ...image.env }).map(([name, value]) => `${name}=${value}`),
      WorkingDir: image.workingDir ?? '/',
      ...(image.user ? { User: image.user } : {}),
    },
    rootfs: { type: 'layers', diff_ids: image.layers.map((layer) => layer.digest) },
    history: image.layers.map(() => ({ created_by: 'weft' })),
  });
  for (const { digest, file, size } of image.layers) {
    blobs.set(digest, { type: 'file', path: blobPath(digest), mode: 0o644, size, content: { file } });
  }
  const manifest = addJson(blobs, {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: image.layers.map(({ digest, size }) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest,
      size,
    })),
  });
  return {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    ...manifest,
    // containerd takes the name from its own annotation, other tools the tag from the standard one.
    annotations: { 'io.containerd.image.name': image.name, 'org.opencontainers.image.ref.name': tag },
  };
}

function addJson(blobs: Map<string, TarEntry>, value: object): { digest: string; size: number } {
  const bytes = Buffer.from(JSON.stringify(value));
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  blobs.set(digest, bytesEntry(blobPath(digest), bytes));
  return { digest, size: bytes.length };
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function bytesEntry(path: string, content: Uint8Array): TarEntry {
  return { type: 'file', path, mode: 0o644, size: content.length, content };
}
