/** What `weft policy explain` is asked about. */
import { isIP } from 'node:net';
import { UsageError } from '../errors.ts';

export type Workload = 'deployment' | 'statefulset' | 'daemonset' | 'job';

export type Target =
  | { readonly kind: 'address'; readonly address: string }
  | { readonly kind: 'node'; readonly name: string }
  | { readonly kind: 'pod' | 'service' | Workload; readonly namespace: string; readonly name: string };

const KINDS: Readonly<Record<string, 'pod' | 'service' | 'node' | Workload>> = {
  po: 'pod',
  pod: 'pod',
  pods: 'pod',
  svc: 'service',
  service: 'service',
  services: 'service',
  no: 'node',
  node: 'node',
  nodes: 'node',
  deploy: 'deployment',
  deployment: 'deployment',
  deployments: 'deployment',
  sts: 'statefulset',
  statefulset: 'statefulset',
  statefulsets: 'statefulset',
  ds: 'daemonset',
  daemonset: 'daemonset',
  daemonsets: 'daemonset',
  job: 'job',
  jobs: 'job',
};

const kindOf = (text: string | undefined) =>
  text !== undefined && Object.hasOwn(KINDS, text) ? KINDS[text] : undefined;

/** An address, `[namespace/]pod`, or with a kind: `kind/name`, `kind/namespace/name` or `namespace/kind/name`. */
export function parseTarget(text: string, namespace: string): Target {
  const bare = text.replace(/^\[(.*)\]$/, '$1');
  if (isIP(bare) !== 0) return { kind: 'address', address: bare };
  const parts = text.split('/');
  const wrong = () =>
    new UsageError(
      `${JSON.stringify(text)} is neither an address nor a name as shop/frontend-7d9f, deploy/shop/frontend, svc/shop/api or node/node1`,
    );
  if (parts.some((part) => !/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(part))) throw wrong();
  const [a = '', b = '', c = ''] = parts;
  // Only the last part, a name, may have dots.
  if (parts.slice(0, -1).some((part) => part.includes('.'))) throw wrong();
  if (parts.length === 1) return { kind: 'pod', namespace, name: a };
  if (parts.length === 2) {
    const kind = kindOf(a);
    if (kind === 'node') return { kind, name: b };
    return kind === undefined ? { kind: 'pod', namespace: a, name: b } : { kind, namespace, name: b };
  }
  const [kind, place] = kindOf(a) === undefined ? [kindOf(b), a] : [kindOf(a), b];
  if (parts.length !== 3 || kind === undefined || kind === 'node') throw wrong();
  return { kind, namespace: place, name: c };
}

export type Protocol = 'TCP' | 'UDP' | 'SCTP' | 'ICMP';

export interface Destination {
  readonly target: Target;
  /** Number or name; undefined for ICMP. */
  readonly port: number | string | undefined;
  readonly protocol: Protocol;
}

/** `TARGET:PORT[/PROTOCOL]`; for ICMP, the target alone. */
export function parseDestination(
  text: string,
  options: { readonly namespace: string; readonly protocol?: string },
): Destination {
  const given = options.protocol === undefined ? undefined : protocolOf(options.protocol);
  if (given === 'ICMP') return { target: parseTarget(text, options.namespace), port: undefined, protocol: 'ICMP' };
  const match = /^(.+):([a-z0-9-]+)(?:\/([a-z]+))?$/i.exec(text);
  if (match === null || isIP(text) === 6) {
    const example = isIP(text) === 6 ? `[${text}]:80` : `${text}:80`;
    throw new UsageError(
      `${JSON.stringify(text)} names no port: write ${example}, ${example}/udp, or use --protocol icmp`,
    );
  }
  const [, place = '', port = '', suffix] = match;
  if (isIP(place) === 6) throw new UsageError(`write IPv6 addresses in brackets: [${place}]:${port}`);
  const inText = suffix === undefined ? undefined : protocolOf(suffix);
  if (inText === 'ICMP') throw new UsageError('ICMP has no ports: leave the port out and use --protocol icmp');
  if (inText !== undefined && given !== undefined && inText !== given) {
    throw new UsageError(`${text} says ${inText}, --protocol says ${given}: leave one of them out`);
  }
  return { target: parseTarget(place, options.namespace), port: parsePort(port), protocol: inText ?? given ?? 'TCP' };
}

function protocolOf(text: string): Protocol {
  const wanted = text.toUpperCase();
  const found = (['TCP', 'UDP', 'SCTP', 'ICMP'] as const).find((one) => one === wanted);
  if (found === undefined) throw new UsageError(`${text} is no protocol: tcp, udp, sctp or icmp`);
  return found;
}

function parsePort(text: string): number | string {
  if (!/^\d+$/.test(text)) return text.toLowerCase();
  const port = Number(text);
  if (port < 1 || port > 65_535) throw new UsageError(`${text} is no port: they go from 1 to 65535`);
  return port;
}
