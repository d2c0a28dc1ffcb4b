/** The cgroup hierarchies of this machine, in whichever of the three layouts it has them. */
import { readFileSync } from 'node:fs';
import { capture } from './run.ts';

export interface Hierarchy {
  /** Directory below /sys/fs/cgroup where a node mounts it; '' for cgroup2 alone. */
  readonly dir: string;
  readonly type: 'cgroup' | 'cgroup2';
  /** Mount options that name it. */
  readonly options: string;
}

/** Hierarchies from the text of /proc/self/cgroup (cgroups(7)); cgroup2 is always the last. */
export function parseHierarchies(text: string): Hierarchy[] {
  const controllers = text
    .split('\n')
    .map((line) => line.split(':')[1])
    .filter((names): names is string => names !== undefined && names !== '');
  const first = controllers.map((names): Hierarchy => {
    const named = names.startsWith('name=');
    return { dir: named ? names.slice(5) : names, type: 'cgroup', options: named ? `none,${names}` : names };
  });
  return [...first.reverse(), { dir: first.length > 0 ? 'unified' : '', type: 'cgroup2', options: 'rw' }];
}

export function hierarchies(): Hierarchy[] {
  return parseHierarchies(readFileSync('/proc/self/cgroup', 'utf8'));
}

/** Shell lines that mount every hierarchy below `base`, which must be writable and private to the caller. */
export function mountLines(list: readonly Hierarchy[], base: string): string[] {
  return list.flatMap(({ dir, type, options }) => {
    const path = dir === '' ? base : `${base}/${dir}`;
    return [...(dir === '' ? [] : [`mkdir -p ${path}`]), `mount -t ${type} -o ${options} ${type} ${path}`];
  });
}

/** Shell lines that make the cgroup `path` in every hierarchy mounted below `base`, and move the shell there. */
export function joinLines(list: readonly Hierarchy[], base: string, path: string): string[] {
  return list.flatMap(({ dir, type }) => {
    const root = dir === '' ? base : `${base}/${dir}`;
    const own = `${root}${path}`;
    if (dir === '') {
      // cgroup2 alone: processes live in leaves only, so the node's first process gets one beside its pods.
      const enable = 'for c in $(cat cgroup.controllers); do echo "+$c" > cgroup.subtree_control || true; done';
      return [
        `mkdir -p ${own}/init`,
        `(cd ${root}; ${enable})`,
        `echo 0 > ${own}/init/cgroup.procs`,
        `(cd ${own}; ${enable})`,
      ];
    }
    const lines = [`mkdir -p ${own}`];
    if (type === 'cgroup' && dir.split(',').includes('cpuset')) {
      // A v1 cpuset starts empty, and an empty one takes no processes.
      lines.push(`cat ${root}/cpuset.cpus > ${own}/cpuset.cpus`, `cat ${root}/cpuset.mems > ${own}/cpuset.mems`);
    }
    return [...lines, `echo 0 > ${own}/cgroup.procs`];
  });
}

/**
 * Ends every process in the cgroup and removes it with all below it, in every hierarchy; absent ones are no error.
 * It runs in a mount namespace of its own, so that it leaves no mount behind and needs none.
 */
export async function removeCgroup(path: string): Promise<void> {
  const base = '/mnt';
  const script = [
    'mount --make-rprivate /',
    `mount -t tmpfs tmpfs ${base}`,
    ...mountLines(hierarchies(), base),
    'left() { for d in "$@"; do [ -d "$d" ] && return 0; done; return 1; }',
    'clear_one() {',
    '  find "$1" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u | while read -r p; do kill -9 "$p" 2>/dev/null; done',
    '  find "$1" -depth -type d -exec rmdir {} + 2>/dev/null',
    '}',
    `set -- ${hierarchies()
      .map(({ dir }) => `${base}${dir === '' ? '' : `/${dir}`}${path}`)
      .join(' ')}`,
    'n=0',
    'while left "$@" && [ $n -lt 200 ]; do for d in "$@"; do [ -d "$d" ] && clear_one "$d"; done; n=$((n+1)); left "$@" && sleep 0.05; done',
    'left "$@" && { echo "still there: $*" >&2; exit 1; }',
    'exit 0',
  ].join('\n');
  const result = await capture(['unshare', '--mount', '--', 'sh', '-c', script]);
  if (result.code !== 0) throw new Error(`could not remove the cgroup ${path}: ${result.stderr.trim()}`);
}
