/** A flow as an agent tells it, and as `weft flows` prints it. */
import { z } from 'zod';
import type { Cell } from '../text.ts';
import type { Names, PeerName } from './names.ts';

const Decision = z.object({
  rule: z.object({ policy: z.string(), index: z.number() }).optional(),
  defaultDeny: z.array(z.string()).optional(),
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
  verdict: z.enum(['forwarded', 'dropped']),
  reason: z.string(),
  direction: z.enum(['ingress', 'egress']),
  protocol: z.string(),
  source: End,
  destination: End,
  service: z.object({ address: z.string(), port: z.number() }).optional(),
  egress: Decision.optional(),
  ingress: Decision.optional(),
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
  readonly event: string;
  readonly verdict: 'forwarded' | 'dropped' | 'revoked';
  readonly reason: string;
  readonly direction: 'ingress' | 'egress';
  readonly protocol: string;
  readonly source: FlowEnd;
  readonly destination: FlowEnd;
  readonly service?: { readonly address: string; readonly port: number };
  readonly rule?: PolicyName & { readonly index: number };
  readonly defaultDeny?: readonly PolicyName[];
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
    direction: flow.direction,
    protocol: flow.protocol,
    source: end(flow.source),
    destination: end(flow.destination),
    ...(flow.service === undefined ? {} : { service: flow.service }),
    ...(decision?.rule === undefined
      ? {}
      : { rule: { ...policyOf(decision.rule.policy), index: decision.rule.index } }),
    ...(decision?.defaultDeny === undefined ? {} : { defaultDeny: decision.defaultDeny.map(policyOf) }),
  };
}

function fields(name: PeerName | undefined): Omit<FlowEnd, 'address' | 'port'> {
  if (name === undefined) return {};
  return 'node' in name ? { nodeName: name.node } : { namespace: name.namespace, pod: name.pod };
}

export const FLOW_HEADER = ['TIME', 'EVENT', 'VERDICT', 'PROTOCOL', 'SOURCE', 'DESTINATION', 'REASON', 'DECIDED BY'];

const STYLES = { forwarded: 'good', dropped: 'bad', revoked: 'warning' } as const;

export function flowRow(line: FlowLine, wide: boolean): Cell[] {
  const decided =
    line.rule === undefined
      ? (line.defaultDeny ?? []).map(policyText).join(', ')
      : `${policyText(line.rule)}, rule ${line.rule.index}`;
  return [
    line.time,
    line.event,
    { text: line.verdict, style: STYLES[line.verdict] },
    line.protocol,
    endText(line.source, wide),
    endText(line.destination, wide),
    line.reason,
    decided,
    ...(wide ? [line.node, line.service === undefined ? '' : hostPort(line.service)] : []),
  ];
}

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
