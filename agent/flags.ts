/** Command line of the agent; each flag may be given by an environment variable instead, WEFT_ and the flag's name. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';

export interface Flags {
  readonly nodeName: string;
  readonly apiServer: string;
  readonly namespace: string;
  readonly runDir: string;
  /** Sockets that this node's Envoy connects to. */
  readonly envoyDir: string;
  readonly pinDir: string;
  /** "": the cgroup2 mount that is found. */
  readonly cgroup: string;
  /** "": the device with the node's address. */
  readonly underlay: string;
  readonly cniConfDir: string;
  readonly cniBinDir: string;
  readonly cniBinary: string;
  /** 0: that of the underlay less the room for overhead. */
  readonly mtu: number;
  readonly healthPort: number;
  readonly repairMinutes: number;
  readonly tokenFile: string;
  readonly accountDir: string;
}

const DEFAULTS = {
  'node-name': '',
  'api-server': '',
  namespace: 'weft-system',
  'run-dir': '/run/weft',
  'envoy-dir': '',
  'pin-dir': '/sys/fs/bpf/weft',
  cgroup: '',
  underlay: '',
  'cni-conf-dir': '/etc/cni/net.d',
  'cni-bin-dir': '/opt/cni/bin',
  'cni-binary': join(import.meta.dirname, 'weft-cni'),
  mtu: '0',
  'health-port': '15021',
  'repair-minutes': '10',
  'token-file': '/var/run/secrets/weft/token',
  'account-dir': '/var/run/secrets/kubernetes.io/serviceaccount',
} as const satisfies Readonly<Record<string, string>>;

const MEANING: Readonly<Record<keyof typeof DEFAULTS, string>> = {
  'node-name': 'name of this Node (required)',
  'api-server': 'URL of the API server, as https://10.0.0.1:6443 (required)',
  namespace: 'namespace of Weft',
  'run-dir': 'sockets and state that a restart needs',
  'envoy-dir': 'sockets for Envoy; default: envoy in run-dir',
  'pin-dir': 'directory on a bpffs',
  cgroup: 'cgroup2 directory; default: where cgroup2 is mounted',
  underlay: "device between nodes; default: the one with the node's address",
  'cni-conf-dir': "the runtime's CNI configurations",
  'cni-bin-dir': "the runtime's CNI binaries",
  'cni-binary': 'weft-cni as it ships',
  mtu: "of pods; default: the underlay's less 80",
  'health-port': '/healthz and /readyz on 127.0.0.1',
  'repair-minutes': 'how often the kernel is compared with what it should hold',
  'token-file': "token for the operator, bound to this agent's pod",
  'account-dir': 'token and ca.crt for the API server',
};

export function usage(): string {
  const lines = Object.entries(MEANING).map(([flag, text]) => `  --${flag.padEnd(16)} ${text}`);
  return `usage: weft-agent [flags]\n${lines.join('\n')}\n`;
}

/** Undefined: help was asked for. @throws Error with a sentence */
export function parseFlags(args: readonly string[], env: NodeJS.ProcessEnv): Flags | undefined {
  const names = Object.keys(DEFAULTS);
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
  if (args.includes('--help')) return undefined;
  const { values } = parseArgs({ args: [...args], options });
  const text = (name: keyof typeof DEFAULTS): string => {
    const given = values[name] ?? env[`WEFT_${name.toUpperCase().replaceAll('-', '_')}`];
    return typeof given === 'string' && given !== '' ? given : DEFAULTS[name];
  };
  const required = (name: keyof typeof DEFAULTS): string => {
    if (text(name) === '') throw new Error(`--${name} is missing: ${MEANING[name]}`);
    return text(name);
  };
  const number = (name: keyof typeof DEFAULTS): number => {
    const value = Number(text(name));
    if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} is ${text(name)}, not a number`);
    return value;
  };
  return {
    nodeName: required('node-name'),
    apiServer: required('api-server'),
    namespace: text('namespace'),
    runDir: text('run-dir'),
    envoyDir: text('envoy-dir') || join(text('run-dir'), 'envoy'),
    pinDir: text('pin-dir'),
    cgroup: text('cgroup'),
    underlay: text('underlay'),
    cniConfDir: text('cni-conf-dir'),
    cniBinDir: text('cni-bin-dir'),
    cniBinary: text('cni-binary'),
    mtu: number('mtu'),
    healthPort: number('health-port'),
    repairMinutes: number('repair-minutes'),
    tokenFile: text('token-file'),
    accountDir: text('account-dir'),
  };
}
