/** What the control socket answers: each command yields the values of its reply lines. */
import type { TableName } from 'bpf-loader-napi';
import { type Agent, VERSION } from '../agent.ts';
import { type FlowFilter, fits, statusRange } from '../flows/filter.ts';
import type { FlowPlace } from '../flows/log.ts';
import { type ExplainRequest, explain } from './explain.ts';

export type Request = Readonly<Record<string, unknown>>;

export interface CommandContext {
  readonly agent: Agent;
  readonly node: string;
  /** What the link to the operator is doing. */
  readonly link: () => string;
}

const TABLES: readonly TableName[] = ['addresses', 'policy', 'pods', 'proxy', 'services', 'backends'];
const FOLLOW_MS = 1_000;

/** @throws Error with a sentence for the user */
export async function* answer(request: Request, context: CommandContext, ended: AbortSignal): AsyncGenerator<unknown> {
  switch (request['command']) {
    case 'status':
      yield status(context);
      return;
    case 'flows':
      yield* flows(request, context.agent, ended);
      return;
    case 'explain':
      yield await explainHere(request, context.agent);
      return;
    case 'dump':
      yield* await dump(request, context.agent);
      return;
    case 'metrics':
      yield await metrics(context.agent);
      return;
    default:
      throw new Error('the commands are status, flows, explain, dump and metrics');
  }
}

function running(agent: Agent) {
  if (agent.running === undefined) throw new Error(agent.unready() ?? 'the agent is starting');
  return agent.running;
}

function status({ agent, node, link }: CommandContext) {
  const policySets = agent.store.names('policyset/').length;
  return {
    node,
    version: VERSION,
    ready: agent.unready() === undefined,
    reason: agent.unready() ?? '',
    operator: link(),
    synced: agent.reports.synced,
    pods: agent.registry.all().length,
    policySets,
    services: agent.store.names('service/').length,
    resources: agent.store.size,
    errors: agent.reports.errors(),
    conditions: agent.reports.conditions,
    envoy: agent.running?.envoy.status() ?? null,
    lastRepair: agent.lastRepair ?? null,
  };
}

async function* flows(request: Request, agent: Agent, ended: AbortSignal): AsyncGenerator<unknown> {
  const { flows: log } = agent;
  const filter = filterOf(request);
  const since = numberOf(request, 'since') ?? 0;
  const matching = (place: FlowPlace) => {
    const flow = log.get(place);
    return flow && Date.parse(flow.time) >= since && fits(flow, filter) ? flow : undefined;
  };
  const limit = numberOf(request, 'limit') ?? Number.POSITIVE_INFINITY;
  const last: FlowPlace[] = [];
  let next = log.end;
  for (const place of log.places(log.start).reverse()) {
    if (last.length >= limit) break;
    if (matching(place)) last.push(place);
  }
  for (const place of last.reverse()) {
    const flow = matching(place);
    if (flow) yield flow;
  }
  if (request['follow'] !== true) return;
  while (!ended.aborted) {
    const places = log.places(next);
    next = log.end;
    for (const place of places) {
      const flow = matching(place);
      if (flow) yield flow;
    }
    if (log.end.event === next.event && log.end.request === next.request) await nextFlows(agent, ended);
  }
}

function nextFlows(agent: Agent, ended: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      unsubscribe();
      ended.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, FOLLOW_MS);
    const unsubscribe = agent.flows.subscribe(done);
    ended.addEventListener('abort', done);
  });
}

function filterOf(request: Request): FlowFilter {
  const names = ['pod', 'namespace', 'verdict', 'rule', 'type', 'address', 'protocol', 'method', 'path'] as const;
  const given = names.flatMap((name) => (typeof request[name] === 'string' ? [[name, request[name]]] : []));
  const port = numberOf(request, 'port');
  const status = request['status'];
  return {
    ...Object.fromEntries(given),
    ...(port === undefined ? {} : { port }),
    ...(status === undefined ? {} : { status: statusRange(`${status}`) }),
  };
}

function numberOf(request: Request, name: string): number | undefined {
  const value = request[name];
  if (value === undefined) return undefined;
  const number = typeof value === 'string' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number)) throw new Error(`${name} is not a number`);
  return number;
}

function textOf(request: Request, name: string): string {
  const value = request[name];
  if (typeof value !== 'string' || value === '') throw new Error(`${name} is missing`);
  return value;
}

const PROTOCOLS: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 };

async function explainHere(request: Request, agent: Agent) {
  const { tables, datapath } = running(agent);
  const protocol = typeof request['protocol'] === 'string' ? request['protocol'].toLowerCase() : 'tcp';
  const wanted: ExplainRequest = {
    source: textOf(request, 'source'),
    destination: textOf(request, 'destination'),
    protocol: PROTOCOLS[protocol] ?? numberOf(request, 'protocol') ?? 6,
    port: numberOf(request, 'port') ?? 0,
  };
  const all = await explain(wanted, tables, datapath, agent.flows.ruleTables);
  return { decisions: all.filter(({ direction }) => [undefined, direction].includes(directionOf(request))) };
}

function directionOf(request: Request): 'ingress' | 'egress' | undefined {
  const value = request['direction'];
  return value === 'ingress' || value === 'egress' ? value : undefined;
}

async function dump(request: Request, agent: Agent) {
  const table = TABLES.find((name) => name === request['table']);
  if (table === undefined) throw new Error(`the tables are ${TABLES.join(', ')}`);
  return running(agent).datapath.dump(table);
}

async function metrics(agent: Agent) {
  const { datapath } = running(agent);
  return {
    reasons: await datapath.metrics(),
    maps: await datapath.mapUse(),
    ...agent.flows.counts,
    process: { rssBytes: process.memoryUsage.rss(), uptimeSeconds: Math.round(process.uptime()) },
  };
}
