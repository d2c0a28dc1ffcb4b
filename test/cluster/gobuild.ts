/** The Go programs of the cluster, built once per content of their sources. */
import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cached, hashOf, hashTree, isCached } from './cache.ts';
import { run } from './run.ts';

const sources = join(dirname(fileURLToPath(import.meta.url)), 'k8s');

/** The release whose sources are built; also what `kubectl version` must say, or clients refuse to talk. */
export const kubernetesVersion = '1.34.4';

const versionFlags = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap((pkg) => {
  const [major, minor] = kubernetesVersion.split('.');
  return [
    `-X ${pkg}.gitVersion=v${kubernetesVersion}`,
    `-X ${pkg}.gitMajor=${major}`,
    `-X ${pkg}.gitMinor=${minor}`,
    `-X ${pkg}.gitTreeState=clean`,
  ];
});

const programs = {
  kubernetes: {
    ldflags: versionFlags,
    links: ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kubectl'],
  },
  coredns: { ldflags: [], links: [] },
  pause: { ldflags: [], links: [] },
  kindconfig: { ldflags: [], links: [] },
} as const;
export type Program = keyof typeof programs;

export interface GoBuildOptions {
  /** Extra build tags, as `kubeproxy`. */
  readonly tags?: readonly string[];
  readonly onLine?: (line: string) => void;
}

/** The directory with the program under its own name and the names that it also goes by. */
export function goProgram(name: Program, options: GoBuildOptions = {}): Promise<string> {
  const { ldflags, links } = programs[name];
  const tags = options.tags ?? [];
  return cached('go', goHash(name, tags), async (out) => {
    mkdirSync(out, { recursive: true });
    await run(
      [
        ...['nice', '-n', '5', 'go', 'build', '-trimpath', '-buildvcs=false', '-v'],
        ...['-ldflags', ['-s', '-w', ...ldflags].join(' ')],
        ...(tags.length > 0 ? ['-tags', tags.join(',')] : []),
        ...['-o', join(out, name), '.'],
      ],
      {
        cwd: join(sources, name),
        env: { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly', GOWORK: 'off' },
        dieWithParent: true,
        ...(options.onLine ? { onLine: options.onLine } : {}),
      },
    );
    for (const link of links) symlinkSync(name, join(out, link));
    if (tags.includes('kubeproxy')) symlinkSync(name, join(out, 'kube-proxy'));
  });
}

/** Is the program built already? */
export function isGoProgramBuilt(name: Program, tags: readonly string[] = []): boolean {
  return isCached('go', goHash(name, tags));
}

function goHash(name: Program, tags: readonly string[]): string {
  return hashOf(hashTree(join(sources, name)), programs[name].ldflags.join(' '), tags.join(','), process.arch);
}
