import type { KubeConfig } from '@kubernetes/client-node';
import { execLines, podsOf } from './exec.ts';
import { columns, plain } from './text.ts';

interface Enforcement {
  readonly enforced: number;
  readonly of: number;
}

/** What the operator's control socket answers, as far as it is shown. */
interface Snapshot {
  readonly operator: { readonly version: string; readonly leader: boolean; readonly ready: boolean };
  readonly nodes: readonly {
    readonly name: string;
    readonly connected: boolean;
    readonly agentVersion: string;
    readonly policySets: Enforcement;
    readonly errors: readonly { readonly resource: string; readonly message: string }[];
  }[];
  readonly policies: readonly {
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    readonly generation: number;
    readonly pods: number;
    readonly nodes: Enforcement;
    readonly problems: readonly { readonly field: string; readonly message: string }[];
    readonly ineffective: readonly { readonly message: string }[];
  }[];
}

/** The snapshot of the first operator that leads. */
export async function readStatus(config: KubeConfig): Promise<Snapshot> {
  let first: Snapshot | undefined;
  for (const pod of await podsOf(config, 'weft-operator')) {
    const lines: string[] = [];
    await execLines(config, pod.name, 'operator', ['node', '/weft/operatorctl.mjs', 'status'], (line) =>
      lines.push(line),
    );
    const snapshot = JSON.parse(lines.join('')) as Snapshot;
    if (snapshot.operator.leader) return snapshot;
    first ??= snapshot;
  }
  if (first === undefined) throw new Error('no operator answered');
  return first;
}

const ref = (policy: Snapshot['policies'][number]): string =>
  `${policy.kind} ${policy.namespace === '' ? '' : `${policy.namespace}/`}${policy.name}`;

function warnings(snapshot: Snapshot): string[] {
  return [
    ...snapshot.nodes.filter((node) => !node.connected).map((node) => `node ${node.name} is not connected`),
    ...snapshot.nodes.flatMap((node) => node.errors.map((one) => `node ${node.name}, ${one.resource}: ${one.message}`)),
    ...snapshot.policies.flatMap((policy) =>
      policy.problems.map((one) => `${ref(policy)}, ${one.field}: ${one.message}`),
    ),
    ...snapshot.policies.flatMap((policy) => policy.ineffective.map((one) => `${ref(policy)}: ${one.message}`)),
  ];
}

/** Whether everything is connected and enforced. */
export function isWell(snapshot: Snapshot): boolean {
  const done = ({ enforced, of }: Enforcement) => enforced === of;
  return (
    snapshot.nodes.every((node) => node.connected && done(node.policySets) && node.errors.length === 0) &&
    snapshot.policies.every((policy) => done(policy.nodes))
  );
}

export function statusText(snapshot: Snapshot): string {
  const nodes = snapshot.nodes.map((node) => [
    node.name,
    node.connected ? 'connected' : 'AWAY',
    node.agentVersion,
    `${node.policySets.enforced} of ${node.policySets.of}`,
  ]);
  const policies = snapshot.policies.map((policy) => [
    ref(policy),
    String(policy.generation),
    String(policy.pods),
    `${policy.nodes.enforced} of ${policy.nodes.of}`,
  ]);
  const warned = warnings(snapshot).map((line) => `warning: ${plain(line)}`);
  return [
    `operator ${plain(snapshot.operator.version)}${snapshot.operator.ready ? '' : ', not ready'}`,
    columns([['NODE', 'AGENT', 'VERSION', 'POLICY SETS ENFORCED'], ...nodes]),
    ...(policies.length === 0
      ? ['no policies']
      : [columns([['POLICY', 'GENERATION', 'PODS', 'NODES ENFORCED'], ...policies])]),
    ...warned,
  ].join('\n\n');
}
