import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { CONTROL_SOCKET } from './control/path.ts';

export interface OperatorFlags {
  /** URL; undefined: as the kubeconfig or the pod's environment says. */
  readonly apiServer: string | undefined;
  readonly namespace: string;
  readonly port: number;
  readonly healthPort: number;
  readonly advertiseAddress: string;
  readonly controlSocket: string;
  /** Unique among replicas and restarts; part of the name of a Lease. */
  readonly identity: string;
}

const HELP = `usage: weft-operator [flags]

Compiles policies and Services into what each node must hold, and serves that to the agents.

  --advertise-address IP   under which agents reach this replica (required; env HOST_IP)
  --api-server URL         of the Kubernetes API, for example https://10.0.0.1:6443; by default as the kubeconfig or
                           the pod's environment says (env WEFT_API_SERVER)
  --namespace NAME         where operator and agents run; default weft-system (env POD_NAMESPACE)
  --port N                 for agents: gRPC with TLS, on all addresses; default 15443
  --health-port N          /healthz and /readyz, on 127.0.0.1; default 15020; 0: any free one
  --control-socket PATH    default ${CONTROL_SOCKET}
  --help

env POD_NAME names the replica in its Leases and events (default: the host's name).
Exit codes: 0 stopped by a signal, 1 failed, 2 wrong flags.
`;

export type ParsedFlags =
  | { readonly tag: 'run'; readonly flags: OperatorFlags }
  | { readonly tag: 'help'; readonly text: string }
  | { readonly tag: 'wrong'; readonly message: string };

type Environment = Readonly<Record<string, string | undefined>>;

/** `random`: some characters that no other replica has. */
export function parseFlags(args: readonly string[], environment: Environment, random: string): ParsedFlags {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        'advertise-address': { type: 'string', default: environment.HOST_IP ?? '' },
        'api-server': { type: 'string', default: environment.WEFT_API_SERVER ?? '' },
        namespace: { type: 'string', default: environment.POD_NAMESPACE ?? 'weft-system' },
        port: { type: 'string', default: '15443' },
        'health-port': { type: 'string', default: '15020' },
        'control-socket': { type: 'string', default: CONTROL_SOCKET },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return { tag: 'help', text: HELP };
    return {
      tag: 'run',
      flags: {
        apiServer: urlOf(values['api-server']),
        namespace: values.namespace,
        port: portOf('--port', values.port),
        healthPort: portOf('--health-port', values['health-port']),
        advertiseAddress: addressOf(values['advertise-address']),
        controlSocket: values['control-socket'],
        identity: identityOf(environment.POD_NAME ?? hostname(), random),
      },
    };
  } catch (error) {
    return { tag: 'wrong', message: `${error instanceof Error ? error.message : String(error)}; see --help` };
  }
}

function urlOf(text: string): string | undefined {
  if (text === '') return undefined;
  if (!URL.canParse(text) || new URL(text).protocol !== 'https:')
    throw new Error(`--api-server: ${text} is no https URL`);
  return text.replace(/\/+$/, '');
}

function portOf(flag: string, text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new Error(`${flag}: ${text} is no port number`);
}

function addressOf(text: string): string {
  if (isIP(text) !== 0) return text;
  if (text === '') throw new Error('--advertise-address (or env HOST_IP) is missing');
  throw new Error(`--advertise-address: ${text} is no IP address`);
}

function identityOf(name: string, random: string): string {
  const plain = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-')
    .replace(/^-+/, '')
    .slice(0, 180);
  return `${plain === '' ? 'operator' : plain}-${random}`;
}
