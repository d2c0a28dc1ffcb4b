/** Plays the acts on a cluster and tells what happened. */
import { type Act, acts, type Call, calls, type Policy } from './acts.ts';

export type { Policy } from './acts.ts';

/** A line of `weft flows -o json`, as far as the demo reads it. */
export interface FlowLine {
  readonly time: string;
  readonly verdict: 'forwarded' | 'dropped' | 'revoked';
  readonly reason: string;
  readonly node: string;
  readonly protocol: string;
  readonly source: { readonly address: string };
  readonly destination: { readonly address: string; readonly port: number };
  readonly rule?: { readonly kind: string; readonly namespace?: string; readonly name: string; readonly index: number };
  readonly defaultDeny?: readonly { readonly kind: string; readonly namespace?: string; readonly name: string }[];
}

export interface Addresses {
  /** Of pods by Deployment: IPv4, IPv6. */
  readonly pods: Readonly<Record<string, readonly [string, string]>>;
  readonly nodes: Readonly<Record<string, string>>;
  readonly outside: readonly string[];
}

/** What the demo needs of a cluster. */
export interface Stage {
  readonly apply: (policy: Policy) => Promise<void>;
  readonly remove: (policy: Policy) => Promise<void>;
  /** Returns when all nodes concerned enforce what is applied. */
  readonly enforced: (policies: readonly Policy[]) => Promise<void>;
  /** Runs curl; the HTTP status, undefined if it did not connect. */
  readonly curl: (from: Call['from'], method: string, url: string) => Promise<number | undefined>;
  readonly addresses: () => Promise<Addresses>;
  readonly flows: () => Promise<readonly FlowLine[]>;
}

export interface Outcome {
  readonly call: Call;
  /** HTTP status; undefined: it did not connect. */
  readonly status: number | undefined;
  readonly expected: number | undefined;
  /** What decided, in words. */
  readonly decision: string;
}

function authority({ to }: Call, addresses: Addresses): string {
  switch (to) {
    case 'service':
      return 'api';
    case 'pod':
      return addresses.pods['api-v1']?.[0] ?? '';
    case 'node port of node1':
      return `${addresses.nodes.node1}:30080`;
    case 'node port of node2':
      return `${addresses.nodes.node2}:30080`;
  }
}

function policyName(ref: { readonly kind: string; readonly namespace?: string; readonly name: string }): string {
  return `${ref.kind} ${ref.namespace === undefined || ref.namespace === '' ? '' : `${ref.namespace}/`}${ref.name}`;
}

/** What decided a flow, in words. */
export function describeDecision(flow: FlowLine): string {
  if (flow.rule !== undefined) return `${policyName(flow.rule)}, rule ${flow.rule.index}`;
  if (flow.defaultDeny !== undefined && flow.defaultDeny.length > 0) {
    return `no rule allows it: ${flow.defaultDeny.map(policyName).join(', ')}`;
  }
  return flow.reason === 'no-policy' ? 'no policy selects the pod' : flow.reason;
}

function decisionOf(call: Call, addresses: Addresses, flows: readonly FlowLine[], since: number): string {
  const sources = call.from === 'outside' ? addresses.outside : (addresses.pods[call.from] ?? []);
  const backends = ['api-v1', 'api-v2'].flatMap((name) => addresses.pods[name] ?? []);
  const seen = flows.filter(
    (line) =>
      sources.includes(line.source.address) &&
      line.destination.port === 80 &&
      backends.includes(line.destination.address) &&
      Date.parse(line.time) >= since - 50,
  );
  // Across nodes each end tells its own verdict: the one that a policy decided says more.
  const flow = seen.findLast((line) => line.rule !== undefined || line.defaultDeny !== undefined) ?? seen.at(-1);
  return flow === undefined ? 'no flow was seen' : describeDecision(flow);
}

/** Brings the applied policies from those of one act to those of the next. */
async function change(stage: Stage, from: readonly Policy[], to: readonly Policy[]): Promise<void> {
  for (const policy of from.filter((one) => !to.includes(one))) await stage.remove(policy);
  for (const policy of to.filter((one) => !from.includes(one))) await stage.apply(policy);
  await stage.enforced(to);
}

export async function playAct(stage: Stage, act: Act): Promise<readonly Outcome[]> {
  const addresses = await stage.addresses();
  const tried: { call: Call; status: number | undefined; since: number }[] = [];
  for (const call of act.calls ?? calls) {
    const since = Date.now();
    const url = `http://${authority(call, addresses)}${call.path ?? '/'}`;
    tried.push({ call, since, status: await stage.curl(call.from, call.method ?? 'GET', url) });
  }
  const flows = await stage.flows();
  return tried.map(({ call, status, since }) => ({
    call,
    status,
    expected: act.allowed(call) ? (act.status?.(call) ?? 200) : undefined,
    decision: decisionOf(call, addresses, flows, since),
  }));
}

/** Plays all acts in turn and removes what it applied. */
export async function playActs(
  stage: Stage,
  tell: (act: Act, outcomes: readonly Outcome[]) => Promise<void> | void,
): Promise<boolean> {
  let applied: readonly Policy[] = [];
  let asExpected = true;
  for (const act of acts) {
    await change(stage, applied, act.policies);
    applied = act.policies;
    const outcomes = await playAct(stage, act);
    asExpected &&= outcomes.every(({ status, expected }) => status === expected);
    await tell(act, outcomes);
  }
  await change(stage, applied, []);
  return asExpected;
}

function resultText({ path }: Call, status: number | undefined): string {
  if (status === undefined) return 'refused';
  return path === undefined && status === 200 ? 'connects' : `${status}`;
}

/** The outcomes as a table for people. */
export function outcomeTable(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ call, status, expected, decision }) => [
    call.from,
    call.path === undefined ? call.to : `${call.to}: ${call.method ?? 'GET'} ${call.path}`,
    `${resultText(call, status)}${status === expected ? '' : ' (UNEXPECTED)'}`,
    decision,
  ]);
  const all = [['who', 'calls api by', 'result', 'what decided'], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map((row) => `  ${row.map((text, column) => text.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
    .join('\n');
}
