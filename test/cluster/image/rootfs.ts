/** A small Debian root for images: packages unpacked with mmdebstrap from this machine's own apt sources. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashOf } from '../cache.ts';
import { run } from '../run.ts';
import { aptSources } from './apt-sources.ts';
import type { Source } from './entries.ts';
import { cachedLayer, type Layer } from './layer.ts';

/** Changed when the recipe below gives other contents for the same packages. */
const recipe = 'debian-extract-2';
/** What a program that needs glibc and nothing else runs on. Without a shell, nobody who gets in finds one. */
const bare = ['base-files', 'libc6'];
const always = ['base-files', 'bash', 'coreutils', 'dash', 'findutils', 'grep', 'libc-bin', 'libc6', 'netbase', 'sed'];
const excluded = [
  '/usr/share/man/*',
  '/usr/share/doc/*',
  '/usr/share/locale/*',
  '/usr/share/info/*',
  '/usr/lib/*/gconv/*',
];

/** What all images share, so that a node reads one base layer: libstdc++6 is for Node, the others for people. */
export const basePackages: readonly string[] = ['ca-certificates', 'curl', 'iproute2', 'libstdc++6', 'nftables'];

export interface RootfsOptions {
  /** Debian packages beside shell and coreutils; what they depend on comes along. `basePackages` if absent. */
  readonly packages?: readonly string[];
  /** Only glibc and a few files of /etc: no shell, no tools, no packages. */
  readonly bare?: boolean;
  readonly onLine?: (line: string) => void;
}

/**
 * A layer with a Debian root. Packages are unpacked and not configured: nothing is run in the root and nothing is
 * mounted, so it is small (about 50 MB with curl and nftables) and an interrupted build leaves nothing behind.
 * What configuring would have made, and is used, is made here: users, CA bundle, name service order.
 */
export async function debianLayer(options: RootfsOptions = {}): Promise<Layer> {
  const { packages = basePackages, onLine } = options;
  const wanted = [...new Set(options.bare ? bare : [...always, ...packages])].sort();
  const { codename, lines } = machineSources();
  const scratch: string[] = [];
  try {
    return await cachedLayer(hashOf(recipe, codename, ...wanted), async () => {
      const dir = mkdtempSync(join(tmpdir(), 'weft-rootfs-'));
      scratch.push(dir);
      const list = join(dir, 'sources.list');
      const settings = join(dir, 'apt.conf');
      const root = join(dir, 'root');
      writeFileSync(list, `${lines.join('\n')}\n`);
      // Proxies, time-outs and the like; not what names files of this machine's own apt.
      const dump = (await run(['apt-config', 'dump'])).split('\n');
      writeFileSync(settings, dump.filter((line) => /^Acquire::(http|https|Retries|Check)/i.test(line)).join('\n'));
      await run(
        [
          ...['mmdebstrap', '--mode=root', '--variant=extract', '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr'],
          ...[`--include=${wanted.join(',')}`, `--aptopt=${settings}`],
          ...excluded.map((path) => `--dpkgopt=path-exclude=${path}`),
          ...[codename, root, list],
        ],
        { dieWithParent: true, ...(onLine ? { onLine } : {}) },
      );
      return rootSources(root);
    });
  } finally {
    for (const dir of scratch) rmSync(dir, { recursive: true, force: true });
  }
}

function rootSources(root: string): Source[] {
  const certificates = join(root, 'usr/share/ca-certificates/mozilla');
  const bundle = existsSync(certificates)
    ? readdirSync(certificates)
        .sort()
        .map((name) => readFileSync(join(certificates, name), 'utf8'))
        .join('')
    : undefined;
  return [
    { from: root, to: '/', keepOwners: true },
    {
      content: 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
      to: '/etc/passwd',
    },
    { content: 'root:x:0:\nnogroup:x:65534:\n', to: '/etc/group' },
    { content: 'hosts: files dns\n', to: '/etc/nsswitch.conf' },
    ...(bundle === undefined ? [] : [{ content: bundle, to: '/etc/ssl/certs/ca-certificates.crt' }]),
  ];
}

function machineSources(): { codename: string; lines: string[] } {
  const release = readFileSync('/etc/os-release', 'utf8');
  const codename = /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(release)?.[1];
  if (codename === undefined) throw new Error('images are made on Debian, and /etc/os-release names no Debian release');
  const files = ['/etc/apt/sources.list', ...aptFiles('/etc/apt/sources.list.d')];
  const lines = files
    .filter((file) => existsSync(file))
    .flatMap((file) => aptSources(readFileSync(file, 'utf8'), codename));
  if (lines.length === 0)
    throw new Error(`no file in /etc/apt names a source of Debian ${codename} (component main): add one`);
  return { codename, lines };
}

function aptFiles(dir: string): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter((name) => /\.(list|sources)$/.test(name))
    .sort()
    .map((name) => join(dir, name));
}
