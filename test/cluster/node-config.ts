/** What a node runs with: its first process's scripts, containerd's and kubelet's configuration; pure text. */
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Hierarchy, joinLines, mountLines } from './cgroups.ts';
import { pauseImage } from './image/names.ts';
import { pkiPath } from './pki.ts';
import { type ClusterPlan, type NodePlan, serviceAddress } from './plan.ts';

/** Directories of the machine that a node sees with its own writes on top; the machine never sees those. */
export const layeredDirs = ['/etc', '/opt', '/var/lib', '/var/log'] as const;
/** Directories that need a real file system below: containerd's own overlays, kubelet's volumes. */
export const ownDirs = ['/var/lib/containerd', '/var/lib/kubelet', '/var/lib/cni'] as const;
/** Exists, from inside the node, once its mounts are complete. */
export const readyFile = '/run/node-ready';
const socket = '/run/containerd/containerd.sock';

/**
 * What kubelet would set for the whole machine at its start (container_manager_linux.go, setupKernelTunables). The node
 * sees these values in files mounted over the kernel's, so that kubelet is content and the machine stays as it was.
 */
const kubeletTunables = {
  'vm/overcommit_memory': 1,
  'vm/panic_on_oom': 0,
  'kernel/panic': 10,
  'kernel/panic_on_oops': 1,
  'kernel/keys/root_maxkeys': 1_000_000,
  'kernel/keys/root_maxbytes': 25_000_000,
} as const;

/** First stage, in a new mount and network namespace: enters the node's cgroups, then makes the other namespaces. */
export function enterScript(node: NodePlan, list: readonly Hierarchy[]): string {
  const base = join(node.dir, 'mnt');
  return lines(
    'set -eu',
    'mount --make-rprivate /',
    `mkdir -p ${base}`,
    `mount -t tmpfs tmpfs ${base}`,
    ...mountLines(list, base),
    ...joinLines(list, base, node.cgroup),
    `umount -R ${base}`,
    'exec unshare --cgroup --uts --ipc --pid --mount --fork --kill-child --mount-proc -- ' +
      `bash ${join(node.dir, 'init.sh')}`,
  );
}

/** Second stage, process 1 of the node: when it dies the kernel ends everything in the node, like a power cut. */
export function initScript(node: NodePlan, list: readonly Hierarchy[]): string {
  const unified = list.length === 1;
  return lines(
    'set -eu',
    'mount --make-rprivate /',
    // The machine's own cgroups must not show through below.
    'umount -lR /sys',
    'mount -t sysfs sysfs /sys',
    ...(unified ? [] : ['mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup']),
    // From inside the cgroup namespace each root is the node's own cgroup.
    ...mountLines(list, '/sys/fs/cgroup'),
    'mount -t bpf -o mode=700 bpf /sys/fs/bpf',
    'mount -t tmpfs -o mode=755 tmpfs /run',
    'mkdir -p /run/lock /run/tunables',
    ...Object.entries(kubeletTunables).flatMap(([name, value]) => {
      const file = `/run/tunables/${name.replaceAll('/', '-')}`;
      return [`echo ${value} > ${file}`, `mount --bind ${file} /proc/sys/${name}`];
    }),
    ...layeredDirs.flatMap((dir) => {
      const name = dir.slice(1).replaceAll('/', '-');
      const [upper, work] = [join(node.dir, 'upper', name), join(node.dir, 'work', name)];
      return [
        `mkdir -p ${upper} ${work}`,
        `mount -t overlay -o lowerdir=${dir},upperdir=${upper},workdir=${work} overlay ${dir}`,
      ];
    }),
    ...ownDirs.flatMap((dir) => {
      const own = join(node.dir, 'own', dir.slice(1).replaceAll('/', '-'));
      return [`mkdir -p ${own} ${dir}`, `mount --bind ${own} ${dir}`];
    }),
    // Nothing of the machine's own CNI may show through.
    ...['/etc/cni/net.d', '/opt/cni/bin'].map((dir) => `rm -rf ${dir}; mkdir -p ${dir}`),
    'mount --make-rshared /',
    `hostname ${node.name}`,
    'sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0',
    `touch ${readyFile}`,
    // bash reaps whatever the node's dead processes leave behind.
    'while :; do sleep infinity & wait $! || true; sleep 1; done',
  );
}

/** Moves a process that entered the node's namespaces into its cgroups as well, then becomes the command. */
export const joinCgroups = 'for f in /sys/fs/cgroup/*/cgroup.procs; do echo 0 > "$f"; done; exec "$@"';
/** The same where the machine has cgroup2 alone. */
export const joinUnifiedCgroup = 'echo 0 > /sys/fs/cgroup/init/cgroup.procs; exec "$@"';

/** Configuration of containerd 1.6, version 2. */
export function containerdConfig(): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  const unused = ['aufs', 'btrfs', 'devmapper', 'zfs'].map((name) => `"io.containerd.snapshotter.v1.${name}"`);
  return lines(
    'version = 2',
    'root = "/var/lib/containerd"',
    'state = "/run/containerd"',
    `disabled_plugins = [${unused.join(', ')}]`,
    '[grpc]',
    `  address = "${socket}"`,
    `[${cri}]`,
    `  sandbox_image = "${pauseImage}"`,
    '  disable_apparmor = true',
    // Without CAP_SYS_RESOURCE runc can't lower a score, and fails with a message about something else.
    '  restrict_oom_score_adj = true',
    '  max_concurrent_downloads = 1',
    `  [${cri}.containerd]`,
    '    snapshotter = "overlayfs"',
    '    default_runtime_name = "runc"',
    `  [${cri}.containerd.runtimes.runc]`,
    '    runtime_type = "io.containerd.runc.v2"',
    `    [${cri}.containerd.runtimes.runc.options]`,
    '      SystemdCgroup = false',
    `  [${cri}.cni]`,
    '    bin_dir = "/opt/cni/bin"',
    '    conf_dir = "/etc/cni/net.d"',
  );
}

/** kubelet.config.k8s.io/v1beta1. */
export function kubeletConfig(plan: ClusterPlan, node: NodePlan): string {
  const dns = serviceAddress(plan.serviceCIDR, 10);
  const pki = (file: string) => pkiPath(plan.dir, file);
  return stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: pki('ca.crt') },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: pki(`${node.name}.crt`),
    tlsPrivateKeyFile: pki(`${node.name}.key`),
    containerRuntimeEndpoint: `unix://${socket}`,
    cgroupDriver: 'cgroupfs',
    failCgroupV1: false,
    failSwapOn: false,
    clusterDNS: [dns.v4],
    clusterDomain: 'cluster.local',
    resolvConf: '',
    // A test machine's disk may be nearly full; images come once and must stay.
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    evictionHard: {
      'imagefs.available': '0%',
      'imagefs.inodesFree': '0%',
      'nodefs.available': '0%',
      'nodefs.inodesFree': '0%',
      'memory.available': '50Mi',
    },
    nodeStatusUpdateFrequency: '4s',
    maxPods: 240,
    kubeAPIQPS: 200,
    kubeAPIBurst: 400,
    serializeImagePulls: false,
    volumePluginDir: '/var/lib/kubelet/volumeplugins',
  });
}

/** Arguments of kubelet; paths as the node sees them, which are the machine's. */
export function kubeletArguments(node: NodePlan): string[] {
  return [
    `--config=${join(node.dir, 'kubelet.yaml')}`,
    `--kubeconfig=${join(node.dir, 'kubelet.kubeconfig')}`,
    `--hostname-override=${node.name}`,
    `--node-ip=${node.address.v4},${node.address.v6}`,
    '--root-dir=/var/lib/kubelet',
  ];
}

function lines(...parts: readonly string[]): string {
  return `${parts.join('\n')}\n`;
}
