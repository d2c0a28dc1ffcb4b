import type { KubeConfig } from '@kubernetes/client-node';
import { execLines, podsOf } from './exec.ts';
import { columns } from './text.ts';

interface Decision {
  readonly rule?: { readonly policy: string; readonly index: number };
  readonly defaultDeny?: readonly string[];
}

interface End {
  readonly address: string;
  readonly port: number;
  readonly pod?: { readonly namespace: string; readonly name: string };
}

/** A line of an agent's flow log. */
interface AgentFlow {
  readonly time: string;
  readonly node: string;
  readonly type: string;
  readonly verdict: 'forwarded' | 'dropped';
  readonly reason: string;
  readonly direction: 'ingress' | 'egress';
  readonly protocol: string;
  readonly source: End;
  readonly destination: End;
  readonly egress?: Decision;
  readonly ingress?: Decision;
}

interface PolicyName {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** "Kind namespace/name" or "Kind/namespace/name", as agents write it. */
function policyOf(text: string): PolicyName {
  const [kind = '', ...rest] = text.split(/[ /]/).filter((part) => part !== '');
  return { kind, namespace: rest.length > 1 ? (rest[0] ?? '') : '', name: rest.at(-1) ?? '' };
}

/** A flow as `weft flows -o json` prints it. */
export function flowLine(flow: AgentFlow): object {
  const decision = flow[flow.direction];
  const end = ({ address, port, pod }: End) => ({
    address,
    port,
    ...(pod === undefined ? {} : { namespace: pod.namespace, pod: pod.name }),
  });
  return {
    time: flow.time,
    node: flow.node,
    verdict: flow.type === 'revoked' ? 'revoked' : flow.verdict,
    reason: flow.reason,
    direction: flow.direction,
    protocol: flow.protocol,
    source: end(flow.source),
    destination: end(flow.destination),
    ...(decision?.rule === undefined
      ? {}
      : { rule: { ...policyOf(decision.rule.policy), index: decision.rule.index } }),
    ...(decision?.defaultDeny === undefined ? {} : { defaultDeny: decision.defaultDeny.map(policyOf) }),
  };
}

export function flowRow(flow: AgentFlow): string[] {
  const end = ({ address, port, pod }: End) =>
    `${pod === undefined ? address : `${pod.namespace}/${pod.name}`}:${port}`;
  const decision = flow[flow.direction];
  const why = decision?.rule?.policy ?? (decision?.defaultDeny ?? []).join(', ');
  return [flow.time, flow.type, flow.protocol, end(flow.source), end(flow.destination), flow.reason, why];
}

export interface FlowsOptions {
  readonly since: number;
  readonly follow: boolean;
  readonly filters: readonly string[];
}

/** Calls back with the flows of all agents; sorted by time unless they are followed. */
export async function readFlows(
  config: KubeConfig,
  options: FlowsOptions,
  tell: (flow: AgentFlow) => void,
): Promise<void> {
  const collected: AgentFlow[] = [];
  const take = options.follow ? tell : (flow: AgentFlow) => void collected.push(flow);
  const command = ['node', '/weft/agentctl.mjs', 'flows', '--since', String(options.since), ...options.filters];
  const agents = await podsOf(config, 'weft-agent');
  await Promise.all(
    agents.map((pod) =>
      execLines(config, pod.name, 'agent', options.follow ? [...command, '--follow'] : command, (line) => {
        if (line !== '') take(JSON.parse(line) as AgentFlow);
      }),
    ),
  );
  for (const flow of collected.sort((a, b) => (a.time < b.time ? -1 : 1))) tell(flow);
}

export const flowTable = (flows: readonly AgentFlow[]): string =>
  columns([['TIME', 'EVENT', 'PROTOCOL', 'SOURCE', 'DESTINATION', 'REASON', 'DECIDED BY'], ...flows.map(flowRow)]);
