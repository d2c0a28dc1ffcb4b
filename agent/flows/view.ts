/** An event as people read it: pods and rules by name. */
import type { FlowEvent } from 'bpf-loader-napi';
import { explainReason } from './reasons.ts';
import type { RuleName, RuleTables } from './rules.ts';

export interface FlowPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface FlowEnd {
  readonly address: string;
  readonly port: number;
  /** Only for pods of this node. */
  readonly pod?: FlowPod;
}

/** What decided in one direction. */
export interface FlowDecision {
  /** 16 hexadecimal digits; absent where only the name of the rule is known. */
  readonly set?: string;
  readonly rule?: RuleName;
  /** No rule: the policies that deny what nothing allows. */
  readonly defaultDeny?: readonly string[];
  /** A request that none of these rules allows. */
  readonly noneOf?: readonly RuleName[];
}

/** Of a request: what Envoy says of it. */
export interface FlowHttp {
  readonly method: string;
  /** Without a query. */
  readonly path: string;
  readonly authority: string;
  readonly protocol: string;
  /** 0: there was no answer. */
  readonly status: number;
  readonly durationMs: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly userAgent: string;
  /** Envoy's response flags and response code details. */
  readonly flags: string;
  readonly details: string;
}

export interface Flow {
  /** Grows by one with each flow of this agent's life. */
  readonly number: number;
  /** RFC 3339. */
  readonly time: string;
  readonly node: string;
  /** Of the kernel, about connections; or a request, about which Envoy decided. */
  readonly type: FlowEvent['type'] | 'request';
  /** Connections are forwarded or dropped; requests allowed or denied by policy, or failed for another reason. */
  readonly verdict: 'forwarded' | 'dropped' | 'allowed' | 'denied' | 'failed';
  readonly reason: string;
  /** What the reason means, where its name does not say it. */
  readonly explanation?: string;
  readonly direction: 'ingress' | 'egress';
  readonly protocol: string;
  readonly source: FlowEnd;
  readonly destination: FlowEnd;
  /** The Service address that the client meant. */
  readonly service?: { readonly address: string; readonly port: number };
  readonly reply: boolean;
  readonly egress?: FlowDecision;
  readonly ingress?: FlowDecision;
  readonly packets: number;
  readonly bytes: number;
  readonly http?: FlowHttp;
}

export interface FlowNames {
  readonly node: string;
  readonly rules: RuleTables;
  /** The pod that had a slot at a time (ms). */
  readonly podAt: (slot: number, time: number) => FlowPod | undefined;
}

const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [1, 'ICMP'],
  [6, 'TCP'],
  [17, 'UDP'],
  [58, 'ICMPv6'],
  [132, 'SCTP'],
]);

export const protocolText = (protocol: number): string => PROTOCOLS.get(protocol) ?? `${protocol}`;

export function describeFlow(number: number, event: FlowEvent, names: FlowNames): Flow {
  const egress = decision(event, 'egress', event.egressSet, event.egressRule, names.rules);
  const ingress = decision(event, 'ingress', event.ingressSet, event.ingressRule, names.rules);
  const explanation = explainReason(event.reason);
  return {
    number,
    time: new Date(event.time).toISOString(),
    node: names.node,
    type: event.type,
    verdict: event.type === 'drop' || event.type === 'revoked' ? 'dropped' : 'forwarded',
    reason: event.reason,
    ...(explanation === undefined ? {} : { explanation }),
    direction: event.direction,
    protocol: protocolText(event.protocol),
    source: end(event.source, event.sourcePort, event.sourceSlot, event.time, names),
    destination: end(event.destination, event.destinationPort, event.destinationSlot, event.time, names),
    ...(event.service === undefined ? {} : { service: { address: event.service, port: event.servicePort ?? 0 } }),
    reply: event.reply,
    ...(egress ? { egress } : {}),
    ...(ingress ? { ingress } : {}),
    packets: event.packets,
    bytes: event.bytes,
  };
}

export function end(address: string, port: number, slot: number | undefined, time: number, names: FlowNames): FlowEnd {
  const pod = slot === undefined ? undefined : names.podAt(slot, time);
  return { address, port, ...(pod ? { pod } : {}) };
}

function decision(
  event: FlowEvent,
  direction: 'ingress' | 'egress',
  set: bigint | undefined,
  index: number | undefined,
  rules: RuleTables,
): FlowDecision | undefined {
  if (set === undefined) return undefined;
  const rule = index === undefined ? undefined : rules.rule(set, index, event.time);
  const denied = event.direction === direction && event.reason === 'default-deny';
  return {
    set: set.toString(16).padStart(16, '0'),
    ...(rule ? { rule } : {}),
    ...(denied ? { defaultDeny: rules.defaultDeny(set, direction, event.time) } : {}),
  };
}
