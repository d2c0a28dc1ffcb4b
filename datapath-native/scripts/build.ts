/** Builds the addon, the CNI binary and the first process of Envoy's pod in release mode and puts them into dist/. Skipped when nothing changed. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const dist = join(root, 'dist');
const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
/** Outside the checkout, so that a fresh clone need not build libbpf again. */
const target = process.env.CARGO_TARGET_DIR ?? join(cache, 'weft', 'cargo-target');
/** Static, so that they need nothing of the system that they run on. */
const programs = ['weft-cni', 'weft-envoy'];
const products = ['bpf-loader-napi.node', ...programs];
const stamp = join(dist, 'built-from');

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? sources(path) : [path];
    })
    .sort();
}

function fingerprint(): string {
  const hash = createHash('sha256');
  const files = ['Cargo.toml', 'Cargo.lock', 'build.rs', 'scripts/build.ts'].map((name) => join(root, name));
  for (const path of [...files, ...['bpf', 'crates', 'src'].flatMap((name) => sources(join(root, name)))]) {
    hash.update(path.slice(root.length)).update('\0').update(readFileSync(path)).update('\0');
  }
  return hash.digest('hex');
}

function run(command: string, args: string[], environment: Record<string, string> = {}): string {
  const result = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, CARGO_TARGET_DIR: target, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (result.error !== undefined) {
    console.error(`${command} can't be run (${result.error.message}); install Rust with cargo`);
    process.exit(1);
  }
  if (result.status !== 0) {
    console.error(`${command} ${args.join(' ')} failed`);
    process.exit(1);
  }
  return result.stdout;
}

/** A library that is in use must not change under its users: put beside, then rename. */
function install(from: string, name: string): void {
  const to = join(dist, name);
  copyFileSync(from, `${to}.new`);
  renameSync(`${to}.new`, to);
}

const current = fingerprint();
const upToDate =
  products.every((name) => existsSync(join(dist, name))) &&
  existsSync(stamp) &&
  readFileSync(stamp, 'utf8') === current;
if (upToDate) {
  console.log('datapath-native is up to date');
  process.exit(0);
}
mkdirSync(dist, { recursive: true });
// Checkouts share the target directory, and cargo goes by time: what another one built last would pass for ours.
const now = new Date();
for (const path of [join(root, 'build.rs'), ...['src', 'crates', 'bpf'].flatMap((name) => sources(join(root, name)))]) {
  utimesSync(path, now, now);
}
run('cargo', ['build', '--locked', '--release', '-p', 'weft-addon']);
install(join(target, 'release', 'libbpf_loader_napi.so'), 'bpf-loader-napi.node');
// kubelet's host may have another C library than the image, so the CNI binary brings its own; Envoy's image has only
// what Envoy needs. Naming the target keeps the flag away from build scripts and procedural macros, which can't be static.
const host = /^host: (.+)$/m.exec(run('rustc', ['-vV']))?.[1] ?? 'x86_64-unknown-linux-gnu';
const packages = programs.flatMap((name) => ['-p', name]);
run('cargo', ['build', '--locked', '--release', ...packages, '--target', host], {
  RUSTFLAGS: '-C target-feature=+crt-static',
});
for (const name of programs) install(join(target, host, 'release', name), name);
writeFileSync(stamp, current);
