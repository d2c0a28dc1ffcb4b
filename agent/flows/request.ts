/** A request as people read it: who, what, by which rule. */
import type { RequestRecord } from 'bpf-loader-napi';
import { explainReason } from './reasons.ts';
import type { RuleName } from './rules.ts';
import { end, type Flow, type FlowDecision, type FlowNames } from './view.ts';

/** A record with the slots of the pods of this node that had its addresses when it came. */
export interface RequestEvent extends RequestRecord {
  readonly sourceSlot?: number;
  readonly destinationSlot?: number;
}

type Verdict = 'allowed' | 'denied' | 'failed';

/** The route of what no rule matches. */
const DENIED = 'denied';

/** Envoy's response flags; the first that a request has says why it failed. */
const FLAGS: readonly (readonly [flag: string, reason: string])[] = [
  ['OM', 'overload'],
  ['UO', 'overload'],
  ['DO', 'overload'],
  ['DPE', 'protocol-error'],
  ['IH', 'protocol-error'],
  ['UPE', 'upstream-protocol-error'],
  ['UF', 'no-upstream'],
  ['UH', 'no-upstream'],
  ['NC', 'no-upstream'],
  ['UR', 'upstream-reset'],
  ['UC', 'upstream-reset'],
  ['LR', 'upstream-reset'],
  ['UT', 'timeout'],
  ['DT', 'timeout'],
  ['SI', 'timeout'],
  ['UMSDR', 'timeout'],
  ['NR', 'no-route'],
];
/** The client went away: whatever policy said stands. */
const CLIENT_GONE = ['DC', 'DR'];

export function judge(record: Pick<RequestRecord, 'route' | 'status' | 'flags' | 'details'>): {
  readonly verdict: Verdict;
  readonly reason: string;
} {
  const { route, status, details } = record;
  const flags = record.flags.split(',');
  if (route === DENIED) return { verdict: 'denied', reason: 'http-denied' };
  const failure = FLAGS.find(([flag]) => flags.includes(flag))?.[1];
  if (failure !== undefined) return { verdict: 'failed', reason: failure };
  if (CLIENT_GONE.some((flag) => flags.includes(flag)) || status === 0) {
    return { verdict: route === '' ? 'failed' : 'allowed', reason: 'client-gone' };
  }
  const own = details === 'via_upstream' ? undefined : refusalOf(details);
  if (own !== undefined) return { verdict: 'failed', reason: own };
  if (route === '') return { verdict: 'failed', reason: 'protocol-error' };
  return { verdict: 'allowed', reason: 'http-allowed' };
}

/** What Envoy answers by itself, by its response code details. */
function refusalOf(details: string): string | undefined {
  if (details.startsWith('overload')) return 'overload';
  if (details.includes('timeout')) return 'timeout';
  if (/^route.*not_found$/.test(details)) return 'no-route';
  if (details.startsWith('upstream_reset')) return 'upstream-reset';
  return /^http[123]?\.|path|host|version|too_large|required_request_headers/.test(details)
    ? 'protocol-error'
    : undefined;
}

export function describeRequest(number: number, record: RequestEvent, names: FlowNames): Flow {
  const { verdict, reason } = judge(record);
  const { direction, decision } = decide(record, names);
  const { source, sourcePort, destination, destinationPort, upstream, upstreamPort, sourceSlot, destinationSlot } =
    record;
  const explanation = explainReason(reason);
  const to =
    upstream === undefined
      ? { address: destination, port: destinationPort }
      : { address: upstream, port: upstreamPort ?? 0 };
  const translated = to.address !== destination || to.port !== destinationPort;
  return {
    number,
    time: new Date(record.time).toISOString(),
    node: names.node,
    type: 'request',
    verdict,
    reason,
    ...(explanation === undefined ? {} : { explanation }),
    direction,
    protocol: 'TCP',
    source: end(source, sourcePort, sourceSlot, record.time, names),
    destination: end(to.address, to.port, destinationSlot, record.time, names),
    ...(translated ? { service: { address: destination, port: destinationPort } } : {}),
    reply: false,
    ...(decision === undefined ? {} : { [direction]: decision }),
    packets: 0,
    bytes: record.receivedBytes + record.sentBytes,
    http: httpOf(record),
  };
}

function httpOf(record: RequestRecord): NonNullable<Flow['http']> {
  const { method, path, authority, protocol, status, durationMs, receivedBytes, sentBytes, userAgent } = record;
  const { flags, details } = record;
  return { method, path, authority, protocol, status, durationMs, receivedBytes, sentBytes, userAgent, flags, details };
}

/** By the name of the route, which is the rule's; for what was refused, by the rules behind the listener. */
function decide({ route, listener, time }: RequestRecord, names: FlowNames) {
  const behind = names.rules.listener(listener, time);
  const rule = ruleOf(route);
  const direction = rule?.direction ?? behind?.rules[0]?.direction ?? 'ingress';
  const set = behind && { set: behind.set.toString(16).padStart(16, '0') };
  const noneOf = behind?.rules.map(({ http: _, ...name }) => name);
  const decision: FlowDecision | undefined = rule
    ? { ...set, rule }
    : route === DENIED && noneOf !== undefined
      ? { ...set, noneOf }
      : undefined;
  return { direction, decision } as const;
}

/** "CiliumNetworkPolicy/shop/api#ingress[0]", or "HTTPRoute/shop/api#0" (the index or the name of a rule): at the client's node. */
export function ruleOf(route: string): RuleName | undefined {
  const [, object, rule] = /^((?:HTTPRoute|GRPCRoute|L7Route)\/[^#]+)#(.{1,253})$/.exec(route) ?? [];
  if (object !== undefined && rule !== undefined) {
    const numbered = /^\d{1,9}$/.test(rule);
    const policy = numbered ? object : `${object}#${rule}`;
    return { policy, direction: 'egress', index: numbered ? Number(rule) : 0, deny: false };
  }
  const [, policy, direction, index] = /^([^#]+)#(ingress|egress)\[(\d{1,9})\]$/.exec(route) ?? [];
  if (policy === undefined || (direction !== 'ingress' && direction !== 'egress')) return undefined;
  return { policy, direction, index: Number(index), deny: false };
}
