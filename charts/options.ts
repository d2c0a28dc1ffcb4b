import { parseArgs } from 'node:util';
import type { InstallValues } from './values.ts';

const USAGE = `usage: node charts/main.ts --agent-image IMAGE --operator-image IMAGE --envoy-image IMAGE --api-server URL [options]

Prints the manifests of an install, to be given to: kubectl apply --server-side -f -

  --agent-image IMAGE       what every node runs (required)
  --operator-image IMAGE    what compiles policies and Services (required)
  --envoy-image IMAGE       what judges HTTP requests on every node (required)
  --api-server URL          https://host:port under which nodes reach the API server before there are Services: the
                            address in the kubeconfig of a kubelet, for example https://10.0.0.1:6443 (required)
  --replicas N              of the operator, each on a node of its own; 1 if not told
  --image-pull-policy WORD  Always, IfNotPresent or Never; IfNotPresent if not told
  --cgroup DIRECTORY        where the nodes' cgroup2 file system is mounted; /sys/fs/cgroup if not told
  --mtu BYTES               of the pods' devices; the underlay's less 80 if not told
  --envoy-memory MIB        limit of each Envoy, from 128; 512 if not told
  --envoy-concurrency N     worker threads of each Envoy; 2 if not told
`;

export type Parsed =
  | { readonly tag: 'help'; readonly text: string }
  | { readonly tag: 'wrong'; readonly message: string }
  | { readonly tag: 'print'; readonly values: InstallValues };

/** What the command line asks for; what is wrong with it is a sentence. */
export function parseInstall(args: readonly string[]): Parsed {
  try {
    const { values: given } = parseArgs({
      args: [...args],
      options: {
        'agent-image': { type: 'string' },
        'operator-image': { type: 'string' },
        'envoy-image': { type: 'string' },
        'api-server': { type: 'string' },
        replicas: { type: 'string' },
        'image-pull-policy': { type: 'string' },
        cgroup: { type: 'string' },
        mtu: { type: 'string' },
        'envoy-memory': { type: 'string' },
        'envoy-concurrency': { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (given.help) return { tag: 'help', text: USAGE };
    const replicas = number('--replicas', given.replicas, 1, 100);
    const imagePullPolicy = pullPolicy(given['image-pull-policy']);
    const cgroup = directory(given.cgroup);
    // With less than 1280 bytes a device has no IPv6 (RFC 8200, 5).
    const mtu = number('--mtu', given.mtu, 1280, 65_535);
    const envoyMemoryMi = number('--envoy-memory', given['envoy-memory'], 128, 65_536);
    const envoyConcurrency = number('--envoy-concurrency', given['envoy-concurrency'], 1, 256);
    const values: InstallValues = {
      agentImage: image('--agent-image', given['agent-image']),
      operatorImage: image('--operator-image', given['operator-image']),
      envoyImage: image('--envoy-image', given['envoy-image']),
      apiServer: apiServer(given['api-server']),
      ...(replicas === undefined ? {} : { replicas }),
      ...(imagePullPolicy === undefined ? {} : { imagePullPolicy }),
      ...(cgroup === undefined ? {} : { cgroup }),
      ...(mtu === undefined ? {} : { mtu }),
      ...(envoyMemoryMi === undefined ? {} : { envoyMemoryMi }),
      ...(envoyConcurrency === undefined ? {} : { envoyConcurrency }),
    };
    return { tag: 'print', values };
  } catch (error) {
    return { tag: 'wrong', message: `${error instanceof Error ? error.message : String(error)}; see --help` };
  }
}

function image(flag: string, text: string | undefined): string {
  if (text === undefined) throw new Error(`${flag} is missing: it says what to run`);
  if (/^[^\s/][^\s]*$/.test(text) && !text.includes('://')) return text;
  throw new Error(`${flag}: ${JSON.stringify(text)} is no image, as registry.example/weft/agent:1.0`);
}

function apiServer(text: string | undefined): string {
  if (text === undefined) {
    throw new Error('--api-server is missing: without it nothing starts where Services are served by Weft itself');
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:' && url.pathname === '/' && url.search === '') return text.replace(/\/$/, '');
  throw new Error(`--api-server: ${JSON.stringify(text)} is no address of the form https://host:port`);
}

function number(flag: string, text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new Error(`${flag}: ${JSON.stringify(text)} is no number from ${least} to ${most}`);
}

function directory(text: string | undefined): string | undefined {
  if (text === undefined || text.startsWith('/')) return text;
  throw new Error(`--cgroup: ${JSON.stringify(text)} is no absolute path`);
}

function pullPolicy(text: string | undefined): InstallValues['imagePullPolicy'] {
  if (text === undefined || text === 'Always' || text === 'IfNotPresent' || text === 'Never') return text;
  throw new Error(`--image-pull-policy: ${JSON.stringify(text)} is none of Always, IfNotPresent and Never`);
}
