/** The file system of a test machine, which is all in its memory. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { capture, shell } from '../cluster/run.ts';
import type { Kernel } from './kernel.ts';

/** Programs of Debian that the tests call. busybox is static and only serves the first process. */
const programs = ['busybox', 'sh', 'ip', 'sysctl', 'nft'];

export interface Contents {
  readonly kernel: Kernel;
  /** The compiled tests of the datapath. */
  readonly tests: string;
  readonly envoy: string;
}

/**
 * Writes the archive to `file`.
 * @param dir is empty, and used for the file system's tree
 */
export async function writeInitramfs(contents: Contents, dir: string, file: string): Promise<void> {
  const put = (from: string, to: string) => {
    mkdirSync(join(dir, dirname(to)), { recursive: true });
    copyFileSync(realpathSync(from), join(dir, to));
  };
  for (const place of ['proc', 'sys', 'dev', 'tmp', 'run', 'root', 'mnt', 'modules']) mkdirSync(join(dir, place));
  put(join(import.meta.dirname, 'init.sh'), '/init');
  chmodSync(join(dir, 'init'), 0o755);
  put(contents.tests, '/weft/tests');
  put(contents.envoy, '/weft/envoy');
  for (const module of contents.kernel.modules) put(module, `/modules/${basename(module)}`);
  const binaries = [contents.tests, contents.envoy];
  for (const name of programs) {
    const found = ['/usr/bin', '/usr/sbin', '/bin', '/sbin'].map((at) => join(at, name)).find(existsSync);
    if (found === undefined) throw new Error(`the program ${name} is missing; the tests in the machine call it`);
    put(found, `/bin/${name}`);
    binaries.push(found);
  }
  for (const binary of binaries) {
    for (const library of await librariesOf(binary)) put(library, library);
  }
  // Not compressed: unpacking it in an emulated machine takes longer than to read it.
  await shell(`cd '${dir}' && find . | cpio --quiet --create --format=newc >'${file}'`);
}

/** Paths of the shared libraries of a program; none if it is static. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await capture(['ldd', program]);
  return [...stdout.matchAll(/(?:=> |^\t)(\/\S+) \(/gm)].map((match) => match[1] ?? '');
}
