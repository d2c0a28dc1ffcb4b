import { type Cell, columns, type Paint, plain } from '../text.ts';
import type { Enforcement, Problem, Snapshot } from './snapshot.ts';

type Policy = Snapshot['policies'][number];
type Node = Snapshot['nodes'][number];

export const policyName = ({ kind, namespace, name }: { kind: string; namespace: string; name: string }): string =>
  `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;

const isDone = ({ enforced, of }: { readonly enforced: number; readonly of: number }): boolean => enforced === of;

const isFatal = ({ severity }: Problem): boolean => severity === 'error';

/** Whether everything is connected, understood and enforced. */
export function isWell(snapshot: Snapshot): boolean {
  const problems = [...snapshot.policies, ...snapshot.meshServices, ...snapshot.problems].flatMap(
    (one) => one.problems,
  );
  return (
    snapshot.operator.ready &&
    snapshot.nodes.every(isNodeWell) &&
    [...snapshot.policies, ...snapshot.meshServices].every(({ nodes }) => isDone(nodes)) &&
    !problems.some(isFatal)
  );
}

function isNodeWell({ connected, synced, policySets, errors, conditions }: Node): boolean {
  const troubled = errors.length > 0 || conditions.some(({ status }) => status);
  return connected && synced && isDone(policySets) && !troubled;
}

/** The operator, nodes, policies, MeshServices, then all that is wrong, a line each. */
export function statusText(snapshot: Snapshot, options: { readonly wide: boolean; readonly paint: Paint }): string {
  const { wide, paint } = options;
  const policies = snapshot.policies.map((policy): Cell[] => [
    policyName(policy),
    String(policy.generation),
    String(policy.pods),
    progress(policy.nodes),
    ...(wide ? [missingNodes(policy.nodes)] : []),
  ]);
  const services = snapshot.meshServices.map((service): Cell[] => [
    `${service.namespace}/${service.name}`,
    String(service.generation),
    progress(service.nodes),
    ...(wide ? [missingNodes(service.nodes)] : []),
  ]);
  const more = wide ? ['MISSING'] : [];
  return [
    operatorLine(snapshot.operator, paint),
    columns([['NODE', 'AGENT', 'VERSION', 'POLICY SETS ENFORCED'], ...snapshot.nodes.map(nodeRow)], paint),
    policies.length === 0
      ? 'no policies'
      : columns([['POLICY', 'GENERATION', 'PODS', 'NODES ENFORCED', ...more], ...policies], paint),
    ...(services.length === 0
      ? []
      : [columns([['MESHSERVICE', 'GENERATION', 'NODES ENFORCED', ...more], ...services], paint)]),
    ...wrong(snapshot).map(({ word, line }) => `${paint(word === 'error' ? 'bad' : 'warning', word)}: ${plain(line)}`),
  ].join('\n\n');
}

function operatorLine({ version, ready, waitingFor, absent }: Snapshot['operator'], paint: Paint): string {
  const waiting = waitingFor.length === 0 ? '' : `, waits for ${plain(waitingFor.join(', '))}`;
  const missing = absent.length === 0 ? '' : `\nnot installed in this cluster: ${plain(absent.join(', '))}`;
  return `operator ${plain(version)}${ready ? '' : `, ${paint('bad', 'not ready')}${waiting}`}${missing}`;
}

function nodeRow(node: Node): Cell[] {
  const agent: Cell = !node.connected
    ? { text: 'AWAY', style: 'bad' }
    : node.synced
      ? { text: 'connected', style: 'good' }
      : { text: 'not in step', style: 'warning' };
  return [node.name, agent, node.agentVersion, progress(node.policySets)];
}

function progress(count: { readonly enforced: number; readonly of: number }): Cell {
  return { text: `${count.enforced} of ${count.of}`, style: isDone(count) ? 'good' : 'warning' };
}

const missingNodes = ({ missing }: Enforcement): string =>
  missing.map(({ node, why }) => `${node} (${why})`).join(', ');

interface Wrong {
  readonly word: 'error' | 'warning';
  readonly line: string;
}

/** All that is wrong, errors where something is not enforced as it was written. */
export function wrong(snapshot: Snapshot): Wrong[] {
  const error = (line: string): Wrong => ({ word: 'error', line });
  const warning = (line: string): Wrong => ({ word: 'warning', line });
  const problemsOf = (name: string, problems: readonly Problem[]): Wrong[] =>
    problems.map((one) => ({
      word: isFatal(one) ? 'error' : 'warning',
      line: `${name}${one.field === '' ? '' : `, ${one.field}`}: ${one.message}`,
    }));
  const missingOf = (name: string, { missing }: Enforcement): Wrong[] =>
    missing.map(({ node, why, message }) =>
      error(`${name} is not in force on ${node}: ${message || REASONS[why] || why}`),
    );
  const named = [
    ...snapshot.policies.map((policy: Policy) => ({ ...policy, title: policyName(policy) })),
    ...snapshot.meshServices.map((one) => ({ ...one, title: policyName({ kind: 'MeshService', ...one }) })),
  ];
  return [
    ...snapshot.nodes.flatMap((node) => nodeWrong(node).map(error)),
    ...named.flatMap(({ title, nodes }) => missingOf(title, nodes)),
    ...named.flatMap(({ title, problems }) => problemsOf(title, problems)),
    ...snapshot.problems.flatMap(({ object, problems }) => problemsOf(object, problems)),
    ...snapshot.policies.flatMap((policy) =>
      policy.ineffective.map((one) => warning(`${policyName(policy)}: ${one.message}`)),
    ),
  ];
}

const REASONS: Readonly<Record<string, string>> = {
  Pending: 'its agent has not reported it yet',
  Unreachable: 'there is no contact with its agent',
};

function nodeWrong({ name, connected, synced, errors, conditions }: Node): string[] {
  return [
    ...(connected ? [] : [`node ${name} is not connected: kubectl -n weft-system get pods -o wide`]),
    ...(connected && !synced ? [`node ${name} has not got all that it should hold yet`] : []),
    ...errors.map((one) => `node ${name}, ${one.resource}: ${one.message}`),
    ...conditions.filter(({ status }) => status).map((one) => `node ${name}, ${one.type}: ${one.message}`),
  ];
}
