/** A bare Debian in a directory, with only Node, Go, Rust, the package caches and the package clients' settings of
 * this machine, to run the set-up in: a missing install step can't hide there. */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

export interface Exit {
  readonly code: number | null;
  /** The last 60,000 characters. */
  readonly output: string;
}

function run(command: string, args: readonly string[], stdin?: 'inherit'): Promise<Exit> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: [stdin ?? 'ignore', 'pipe', 'pipe'] });
    let output = '';
    const take = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-60_000);
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.on('error', (error) => resolve({ code: null, output: `${output}${error.message}` }));
    child.on('close', (code) => resolve({ code, output }));
  });
}

const ask = (command: string, ...args: string[]): string =>
  spawnSync(command, args, { encoding: 'utf8' }).stdout.trim();

/** The machine's own Node, not the one of node_modules. */
function systemNode(): string {
  const found = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((directory) => !directory.includes('node_modules'))
    .map((directory) => join(directory, 'node'))
    .find(existsSync);
  if (found === undefined) throw new Error('no Node on PATH outside of node_modules');
  return realpathSync(found);
}

/** Directories that are bound in at their own path, read-only or as a cache to write to. */
function toolDirectories(): { readonly path: string; readonly write: boolean }[] {
  const home = homedir();
  return [
    { path: ask('go', 'env', 'GOROOT'), write: false },
    { path: ask('go', 'env', 'GOMODCACHE'), write: true },
    { path: ask('go', 'env', 'GOCACHE'), write: true },
    { path: process.env.RUSTUP_HOME ?? join(home, '.rustup'), write: false },
    { path: process.env.CARGO_HOME ?? join(home, '.cargo'), write: true },
    { path: join(home, '.npm'), write: true },
  ].filter(({ path }) => existsSync(path));
}

/** Settings of the package clients: how they reach their registries is the machine's own business. */
const settingFiles = [
  '/etc/apt',
  '/etc/ssl/certs',
  '/usr/local/share/ca-certificates',
  '/etc/resolv.conf',
  '/etc/hosts',
  '/etc/pip.conf',
];
const settingVariables =
  /^(NODE_EXTRA_CA_CERTS|SSL_CERT_\w+|CURL_CA_BUNDLE|REQUESTS_CA_BUNDLE|GIT_SSL_CAINFO|GO(PROXY|FLAGS|NOSUMDB|SUMDB|TOOLCHAIN|PRIVATE|INSECURE)|RUSTUP_\w+|CARGO_\w+|(https?|no|all)_proxy|npm_config_registry)$/i;

export class BareRoot {
  readonly directory: string;
  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Makes the root (about 10 s) and copies the checkout's files, committed or not, to /src. */
  static async make(checkout: string): Promise<BareRoot> {
    const directory = mkdtempSync(join(tmpdir(), 'weft-bare-'));
    const made = await run('mmdebstrap', [
      '--variant=minbase',
      '--quiet',
      ask('sh', '-c', '. /etc/os-release && echo $VERSION_CODENAME'),
      directory,
    ]);
    if (made.code !== 0) throw new Error(`mmdebstrap failed: ${made.output}`);
    const root = new BareRoot(directory);
    for (const path of settingFiles.filter((file) => existsSync(file))) {
      cpSync(path, join(directory, path), { recursive: true, dereference: path !== '/etc/ssl/certs', force: true });
    }
    for (const name of ['.npmrc', '.config/go', '.config/pip']) {
      const path = join(homedir(), name);
      if (existsSync(path)) cpSync(path, join(directory, path), { recursive: true });
    }
    root.#installNode();
    const copied = await run('sh', [
      '-c',
      `mkdir -p "$2/src" && cd "$1" && git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - | tar -C "$2/src" -xf -`,
      'sh',
      checkout,
      directory,
    ]);
    if (copied.code !== 0) throw new Error(`copying the checkout failed: ${copied.output}`);
    return root;
  }

  #installNode(): void {
    const bin = join(this.directory, 'opt', 'node', 'bin');
    mkdirSync(bin, { recursive: true });
    cpSync(systemNode(), join(bin, 'node'));
    const npm = process.env.npm_execpath ?? realpathSync(ask('sh', '-c', 'command -v npm'));
    const package_ = dirname(dirname(realpathSync(npm)));
    cpSync(package_, join(this.directory, 'opt', 'node', 'lib', 'npm'), { recursive: true, dereference: true });
    for (const name of ['npm', 'npx']) {
      writeFileSync(join(bin, name), `#!/bin/sh\nexec /opt/node/bin/node /opt/node/lib/npm/bin/${name}-cli.js "$@"\n`, {
        mode: 0o755,
      });
    }
  }

  /** Runs a shell script in /src of the root, in its own mount and pid namespaces, so that nothing outlives it. */
  async run(script: string): Promise<Exit> {
    const tools = toolDirectories();
    const binds = tools.map(({ path, write }) => {
      const target = join(this.directory, path);
      mkdirSync(target, { recursive: true });
      return `mount --rbind '${path}' '${target}'${write ? '' : ` && mount -o remount,bind,ro '${target}'`}`;
    });
    const mounts = [
      'mount --make-rprivate /',
      // A root of its own, not a chroot: nodes change how mounts below / propagate, so / must be a mount.
      `mount --bind '${this.directory}' '${this.directory}'`,
      `mount -t proc proc '${this.directory}/proc'`,
      `mount --rbind /sys '${this.directory}/sys'`,
      `mount --rbind /dev '${this.directory}/dev'`,
      ...binds,
    ];
    const cargo = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
    const path = [
      '/opt/node/bin',
      join(ask('go', 'env', 'GOROOT'), 'bin'),
      join(cargo, 'bin'),
      '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ].join(':');
    const settings = Object.entries(process.env).filter(([name]) => settingVariables.test(name));
    const environment = [
      `PATH=${path}`,
      `HOME=${homedir()}`,
      'LANG=C.UTF-8',
      ...settings.map(([name, value]) => `${name}=${value}`),
    ];
    const enter = [
      `cd '${this.directory}'`,
      'mkdir -p .outside',
      'pivot_root . .outside',
      'umount -l /.outside',
      `exec env -i "$@" sh -c 'cd /src && ${script.replaceAll("'", "'\\''")}'`,
    ];
    const inside = [...mounts, ...enter].join(' && ');
    return run('unshare', ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', inside, 'sh', ...environment]);
  }

  /** Mounts died with their namespace, so only files are left. */
  async remove(): Promise<void> {
    await run('rm', ['-rf', '--one-file-system', this.directory]);
  }
}
