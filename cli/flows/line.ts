/** A flow as an agent tells it, and as `weft flows` prints it. */
import { z } from 'zod';
import type { Cell } from '../text.ts';
import type { Names, PeerName } from './names.ts';
import type { FlowVerdict } from './words.ts';

const Rule = z.object({ policy: z.string(), index: z.number() });

const Decision = z.object({
  rule: Rule.optional(),
  defaultDeny: z.array(z.string()).optional(),
  noneOf: z.array(Rule).optional(),
});

const Http = z.object({
  method: z.string(),
  path: z.string(),
  authority: z.string(),
  protocol: z.string(),
  status: z.number(),
  durationMs: z.number(),
  receivedBytes: z.number(),
  sentBytes: z.number(),
  userAgent: z.string(),
  flags: z.string(),
  details: z.string(),
});

const End = z.object({
  address: z.string(),
  port: z.number(),
  pod: z.object({ namespace: z.string(), name: z.string() }).optional(),
});

/** A line of an agent's flow log, as far as it is shown. */
const AgentFlow = z.object({
  number: z.number(),
  time: z.string(),
  node: z.string(),
  type: z.string(),
  verdict: z.enum(['forwarded', 'dropped', 'allowed', 'denied', 'failed']),
  reason: z.string(),
  explanation: z.string().optional(),
  direction: z.enum(['ingress', 'egress']),
  protocol: z.string(),
  source: End,
  destination: End,
  service: z.object({ address: z.string(), port: z.number() }).optional(),
  egress: Decision.optional(),
  ingress: Decision.optional(),
  http: Http.optional(),
});

export type AgentFlow = z.infer<typeof AgentFlow>;

/** @throws Error with a sentence where the agent speaks another dialect */
export function parseFlow(line: string): AgentFlow {
  const { success, data, error } = AgentFlow.safeParse(JSON.parse(line));
  if (success) return data;
  const [issue] = error.issues;
  throw new Error(
    `an agent's flow is not understood (${issue?.path.join('.')}: ${issue?.message}): use the \`weft\` of its version`,
  );
}

export interface PolicyName {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** "Kind/namespace/name" or "Kind/name", as agents write it. */
export function policyOf(text: string): PolicyName {
  const [kind = '', ...rest] = text.split('/').filter((part) => part !== '');
  return { kind, namespace: rest.length > 1 ? (rest[0] ?? '') : '', name: rest.at(-1) ?? '' };
}

/** A rule by its place in its policy. */
export type RuleRef = PolicyName & { readonly index: number };

export interface FlowEnd {
  readonly address: string;
  readonly port: number;
  readonly namespace?: string;
  readonly pod?: string;
  /** Where the address is a node's own. */
  readonly nodeName?: string;
}

/** A flow as `weft flows -o json` prints it. */
export interface FlowLine {
  /** RFC 3339. */
  readonly time: string;
  /** Whose agent tells it. */
  readonly node: string;
  /** Of a connection, or `request`. */
  readonly event: string;
  readonly verdict: FlowVerdict;
  readonly reason: string;
  /** What the reason means, where its name does not say it. */
  readonly explanation?: string;
  readonly direction: 'ingress' | 'egress';
  readonly protocol: string;
  readonly source: FlowEnd;
  readonly destination: FlowEnd;
  readonly service?: { readonly address: string; readonly port: number };
  readonly rule?: RuleRef;
  readonly defaultDeny?: readonly PolicyName[];
  /** A request that none of these rules allows. */
  readonly noneOf?: readonly RuleRef[];
  readonly http?: AgentFlow['http'];
}

/** An agent names the pods of its own node; `names` knows the others. */
export function flowLine(flow: AgentFlow, names: Names): FlowLine {
  const decision = flow[flow.direction];
  const end = ({ address, port, pod }: AgentFlow['source']): FlowEnd => ({
    address,
    port,
    ...fields(pod === undefined ? names.at(address, flow.time) : { namespace: pod.namespace, pod: pod.name }),
  });
  return {
    time: flow.time,
    node: flow.node,
    event: flow.type,
    verdict: flow.type === 'revoked' ? 'revoked' : flow.verdict,
    reason: flow.reason,
    ...(flow.explanation === undefined ? {} : { explanation: flow.explanation }),
    direction: flow.direction,
    protocol: flow.protocol,
    source: end(flow.source),
    destination: end(flow.destination),
    ...(flow.service === undefined ? {} : { service: flow.service }),
    ...(decision?.rule === undefined ? {} : { rule: ruleOf(decision.rule) }),
    ...(decision?.defaultDeny === undefined ? {} : { defaultDeny: decision.defaultDeny.map(policyOf) }),
    ...(decision?.noneOf === undefined ? {} : { noneOf: decision.noneOf.map(ruleOf) }),
    ...(flow.http === undefined ? {} : { http: flow.http }),
  };
}

const ruleOf = ({ policy, index }: z.infer<typeof Rule>): RuleRef => ({ ...policyOf(policy), index });

function fields(name: PeerName | undefined): Omit<FlowEnd, 'address' | 'port'> {
  if (name === undefined) return {};
  return 'node' in name ? { nodeName: name.node } : { namespace: name.namespace, pod: name.pod };
}

export const FLOW_HEADER = ['TIME', 'EVENT', 'VERDICT', 'PROTOCOL', 'SOURCE', 'DESTINATION', 'REASON', 'DECIDED BY'];

const STYLES = {
  forwarded: 'good',
  dropped: 'bad',
  revoked: 'warning',
  allowed: 'good',
  denied: 'bad',
  failed: 'warning',
} as const;

/** Of a request's path, unless the table is wide. */
const PATH_WIDTH = 60;

export function flowRow(line: FlowLine, wide: boolean): Cell[] {
  const { http } = line;
  return [
    line.time,
    line.event,
    { text: line.verdict, style: STYLES[line.verdict] },
    http?.protocol || line.protocol,
    endText(line.source, wide),
    endText(line.destination, wide),
    http === undefined ? line.reason : `${line.reason} ${requestText(http, wide)}`,
    decidedBy(line),
    ...(wide
      ? [
          line.node,
          line.service === undefined ? '' : hostPort(line.service),
          http?.authority ?? '',
          http?.userAgent ?? '',
        ]
      : []),
  ];
}

/** "GET /api/v1/users 200 3ms" */
function requestText({ method, path, status, durationMs }: NonNullable<AgentFlow['http']>, wide: boolean): string {
  const shown = wide || path.length <= PATH_WIDTH ? path : `${path.slice(0, PATH_WIDTH - 1)}…`;
  return [method, shown, status === 0 ? 'no answer' : `${status}`, `${durationMs}ms`]
    .filter((part) => part !== '')
    .join(' ');
}

/** Names that say what they mean need no words beside them. */
const EXPLAINED = ['proxied', 'no-proxy', 'proxy-port', 'proxy-limit'];

function decidedBy({ rule, defaultDeny = [], noneOf = [], reason, explanation, verdict }: FlowLine): string {
  const by =
    rule !== undefined
      ? ruleText(rule)
      : noneOf.length > 0
        ? `none of ${noneOf.map(ruleText).join('; ')}`
        : defaultDeny.map(policyText).join(', ');
  const isExplained = explanation !== undefined && (verdict === 'failed' || EXPLAINED.includes(reason));
  return [by, isExplained ? explanation : ''].filter((part) => part !== '').join(': ');
}

export const ruleText = (rule: RuleRef): string => `${policyText(rule)}, rule ${rule.index}`;

export function policyText({ kind, namespace, name }: PolicyName): string {
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;
}

function endText(end: FlowEnd, wide: boolean): string {
  const name = end.pod === undefined ? end.nodeName && `node ${end.nodeName}` : `${end.namespace}/${end.pod}`;
  if (name === undefined) return hostPort(end);
  return `${name}:${end.port}${wide ? ` (${end.address})` : ''}`;
}

function hostPort({ address, port }: { readonly address: string; readonly port: number }): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}
