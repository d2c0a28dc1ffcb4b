/** Debian's kernels as files: taken from apt, unpacked once. */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { cached, hashOf } from '../cluster/cache.ts';
import { capture, run } from '../cluster/run.ts';

/** What the tests need of a kernel beyond what is built in, in the order of loading. */
const wanted = ['veth', 'bridge', 'sch_ingress', 'cls_bpf', 'nf_tables', 'nft_chain_nat', 'nft_masq', 'nft_ct'];

export interface Kernel {
  /** "6.1" */
  readonly version: string;
  /** "6.1.0-56-cloud-amd64" */
  readonly release: string;
  readonly image: string;
  /** *.ko, in the order of loading. */
  readonly modules: readonly string[];
}

/** Downloads the newest cloud kernel of this version that apt offers, e.g. "6.1". */
export async function debianKernel(version: string, waitingFor: (what: string) => void): Promise<Kernel> {
  const name = newest(version, (await run(['apt-cache', 'pkgnames', `linux-image-${version}.`])).split('\n'));
  if (name === undefined) {
    throw new Error(
      `apt offers no cloud kernel ${version}: enable a Debian release that has it (bookworm has 6.1, its security updates ` +
        '6.12), run apt-get update, or name another version',
    );
  }
  const offer = await run(['apt-get', 'download', '--print-uris', name]);
  const hash = hashOf('kernel-1', offer.trim().split(' ').slice(1).join(' '), ...wanted);
  const dir = await cached('kernels', hash, (out) => unpack(name, out, waitingFor));
  const modules = readdirSync(dir)
    .filter((file) => file.endsWith('.ko'))
    .sort();
  return {
    version,
    release: readFileSync(join(dir, 'release'), 'utf8'),
    image: join(dir, 'vmlinuz'),
    modules: modules.map((file) => join(dir, file)),
  };
}

/** Of package names, that of the highest build: "linux-image-6.1.0-56-cloud-amd64". */
export function newest(version: string, names: readonly string[]): string | undefined {
  const pattern = new RegExp(
    `^linux-image-${version.replaceAll('.', '\\.')}\\.[\\d.]+(-\\d+|\\+deb\\d+)?-cloud-amd64$`,
  );
  const numbers = (name: string) => [...name.matchAll(/\d+/g)].map(Number);
  const compare = (a: readonly number[], b: readonly number[]) => {
    const at = a.findIndex((number, index) => number !== b[index]);
    return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
  };
  const found = names.filter((name) => pattern.test(name));
  return found.sort((a, b) => compare(numbers(a), numbers(b))).at(-1);
}

async function unpack(name: string, out: string, waitingFor: (what: string) => void): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'weft-kernel-'));
  try {
    waitingFor(`apt: ${name}`);
    // apt's own user reads nothing of root's: it is told to stay root.
    await run(['apt-get', '-o', 'APT::Sandbox::User=root', 'download', name], { cwd: scratch, dieWithParent: true });
    const file = readdirSync(scratch).find((one) => one.endsWith('.deb')) ?? '';
    const root = join(scratch, 'root');
    await run(['dpkg-deb', '--extract', join(scratch, file), root], { dieWithParent: true });
    const [release = ''] = readdirSync(join(root, 'lib/modules'));
    await run(['depmod', '--basedir', root, release], { dieWithParent: true });
    mkdirSync(out);
    writeFileSync(join(out, 'release'), release);
    copyFileSync(join(root, 'boot', `vmlinuz-${release}`), join(out, 'vmlinuz'));
    const paths = new Set<string>();
    for (const module of wanted) {
      const shown = await capture(['modprobe', '--dirname', root, '--set-version', release, '--show-depends', module]);
      if (shown.code !== 0) throw new Error(`the kernel ${release} has no module ${module}: ${shown.stderr.trim()}`);
      for (const line of shown.stdout.matchAll(/^insmod (\S+)/gm)) paths.add(line[1] ?? '');
    }
    for (const [index, path] of [...paths].entries()) {
      const target = join(out, `${String(index).padStart(2, '0')}-${basename(path)}`);
      copyFileSync(path, target);
      if (path.endsWith('.xz')) await run(['unxz', target]);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
