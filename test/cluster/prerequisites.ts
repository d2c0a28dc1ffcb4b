/** Brings a Debian machine to where a cluster can run on it, or says in one sentence why it can't. */
import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DebianPackage, debianPackages, type Purpose } from './packages.ts';
import type { Progress } from './progress.ts';
import { capture, type RunResult } from './run.ts';

/**
 * Installs the Debian packages that are missing, and checks root, kernel and compilers.
 * @param purpose `build` needs those of `cluster` as well, `kernels` all; `cluster` needs those for running only
 * @throws Error with every reason, a sentence each
 */
export async function prepareMachine(purpose: Purpose, progress: Progress): Promise<void> {
  const problems = [...rootProblems(), ...kernelProblems(), ...(await compilerProblems(purpose))];
  if (problems.length > 0) throw new Error(problems.join('\n'));
  const missing = await missingPackages(debianPackages.filter((one) => needs[purpose].includes(one.purpose)));
  if (missing.length === 0) return;
  await progress.step('Debian packages', ({ waitingFor }) => install(missing, waitingFor));
}

const needs: Readonly<Record<Purpose, readonly Purpose[]>> = {
  cluster: ['cluster'],
  build: ['cluster', 'build'],
  kernels: ['cluster', 'build', 'kernels'],
};

/** Why nothing here can run: for tests to skip with. Undefined when it can. */
export function whyNotHere(): string | undefined {
  return [...rootProblems(), ...kernelProblems()][0];
}

function rootProblems(): string[] {
  const root = process.getuid?.() === 0;
  return root ? [] : ['Only root can make network namespaces and mounts: run this as root (sudo -E npm run up).'];
}

const filesystems: Readonly<Record<string, string>> = {
  cgroup2: 'Each node has its own cgroup2 directory',
  overlay: 'Containers have overlay roots',
  bpf: 'Weft keeps its eBPF maps in a bpf file system',
  tmpfs: "A node's /run is a tmpfs",
};
const namespaces = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'uts'];

function kernelProblems(): string[] {
  if (process.platform !== 'linux') return [`A cluster needs Linux, and this is ${process.platform}.`];
  const known = readFileSync('/proc/filesystems', 'utf8');
  const missing = Object.entries(filesystems).filter(([name]) => !new RegExp(`\\b${name}$`, 'm').test(known));
  return [
    ...missing.map(
      ([name, why]) =>
        `${why}, but this kernel has no ${name}: load its module (modprobe ${name}) or boot Debian's own kernel.`,
    ),
    ...namespaces
      .filter((name) => !exists(`/proc/self/ns/${name}`))
      .map((name) => `A node needs a ${name} namespace, and this kernel has none: boot Debian's own kernel.`),
  ];
}

async function compilerProblems(purpose: Purpose): Promise<string[]> {
  const problems: string[] = [];
  const go = await capture(['go', 'version']);
  if (!atLeast(go, /go(\d+)\.(\d+)/, [1, 24])) {
    problems.push('Kubernetes is built with Go 1.24 or later, which is not in PATH: get it from https://go.dev/dl/.');
  }
  if (purpose === 'cluster') return problems;
  const rust = await capture(['cargo', '--version']);
  if (!atLeast(rust, /cargo (\d+)\.(\d+)/, [1, 88])) {
    problems.push('The addon is built with Rust 1.88 or later, which is not in PATH: get it from https://rustup.rs.');
  }
  return problems;
}

export function atLeast(result: RunResult, pattern: RegExp, [major, minor]: readonly [number, number]): boolean {
  const match = result.code === 0 ? pattern.exec(result.stdout) : null;
  if (match === null) return false;
  const [have, haveMinor] = [Number(match[1]), Number(match[2])];
  return have > major || (have === major && haveMinor >= minor);
}

/** Those of which neither a program is in PATH nor the package is installed. */
export async function missingPackages(packages: readonly DebianPackage[]): Promise<DebianPackage[]> {
  const absent = packages.filter((one) => !(one.programs ?? []).some(inPath));
  if (absent.length === 0) return [];
  const field = (name: string) => `\${${name}}`;
  const format = `${field('Package')} ${field('db:Status-Status')}\\n`;
  const query = ['dpkg-query', '--show', '--showformat', format];
  const { stdout } = await capture([...query, ...absent.map((one) => one.name)]);
  const installed = new Set(stdout.split('\n'));
  return absent.filter((one) => !installed.has(`${one.name} installed`));
}

async function install(packages: readonly DebianPackage[], waitingFor: (what: string) => void): Promise<void> {
  const names = packages.map((one) => one.name);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args: string[]) =>
    capture(['apt-get', ...args], { env, onLine: (line) => waitingFor(`apt: ${line}`) });
  const get = () => apt('install', '-y', '--no-install-recommends', ...names);
  waitingFor(`apt: ${names.join(' ')}`);
  let result = await get();
  if (result.code !== 0 && result.code !== 127) {
    // The lists may be missing, as in a fresh container, or older than the mirror.
    await apt('update');
    result = await get();
  }
  if (result.code === 0) return;
  const reasons = packages.map((one) => `${one.name} (${one.why})`).join(', ');
  const said = result.stderr.trim().split('\n').at(-1) ?? '';
  throw new Error(
    `These packages are missing and apt-get could not install them: ${reasons}. ` +
      `Install them by hand: apt-get install ${names.join(' ')}. It said: ${said}`,
  );
}

function inPath(program: string): boolean {
  return `${process.env.PATH ?? ''}:/usr/sbin:/sbin`.split(':').some((dir) => dir !== '' && exists(join(dir, program)));
}

function exists(path: string): boolean {
  try {
    accessSync(path, constants.F_OK);
    return true;
  } catch {
    return false;
  }
}
