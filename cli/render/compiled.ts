/** What the compiler makes of facts, as people look at it. */
import { Direction, type NodeResource, type PolicyEntry, type PolicySet, Protocol, type Rule } from '@weft/node-api';
import type { ConfiguredResource } from '../../charts/envoy-configuration.ts';
import { listenerName, routeName } from '../../reconcilers/envoy/names.ts';
import { showEnvoy } from '../../reconcilers/envoy/show.ts';
import { compileFromScratch, type Fact, type PolicyState } from '../../reconcilers/index.ts';
import { ANY_NODE } from './pods.ts';

type Resources = ReadonlyMap<string, NodeResource>;

export interface Compiled {
  /** What every node holds, by name; a node's own hides what has its name here. */
  readonly shared: Resources;
  /** What each node holds of its own. */
  readonly nodes: ReadonlyMap<string, Resources>;
  readonly policies: ReadonlyMap<string, PolicyState>;
}

export function compile(facts: readonly Fact[]): Compiled {
  const { shared, views, policies } = compileFromScratch(
    facts.map((fact, index) => ({ key: `${index}`, facts: [fact] })),
  );
  const nodes = new Set([...views.keys(), ...facts.flatMap((fact) => (fact.kind === 'node' ? [fact.name] : []))]);
  return {
    shared: shared.upserts,
    nodes: new Map([...nodes].map((node) => [node, views.get(node)?.upserts ?? new Map()])),
    policies: new Map([...policies].flatMap(([key, state]) => (state === undefined ? [] : [[key, state]]))),
  };
}

/** What stands behind a listener. */
export interface Behind {
  readonly pods: ReadonlySet<string>;
  /** As `ingress 80/TCP`. */
  readonly connections: ReadonlySet<string>;
  readonly rules: readonly string[];
}

/** By the name of Envoy's resource. @param titles of pods, where their namespace/name says nothing */
export function behindListeners(
  resources: Iterable<NodeResource>,
  titles: ReadonlyMap<string, string>,
  portName: PortName = () => undefined,
): Map<string, Behind> {
  const sets = new Map<bigint, PolicySet>();
  const pods = new Map<bigint, string[]>();
  for (const { resource } of resources) {
    if (resource?.$case === 'policySet') sets.set(resource.value.id, resource.value);
    if (resource?.$case !== 'endpoint') continue;
    const { policySet, namespace, name } = resource.value;
    pods.set(policySet, [...(pods.get(policySet) ?? []), `${namespace}/${name}`]);
  }
  const found = new Map<string, Behind>();
  for (const set of sets.values()) {
    const selected = pods.get(set.id) ?? [];
    for (const { id, rules } of set.listeners) {
      const name = listenerName(id);
      const entries = set.entries.filter(({ listener }) => listener === id);
      const connections = entries.map((entry) => connectionText(entry, selected, portName));
      const before = found.get(name);
      found.set(name, {
        pods: new Set([...(before?.pods ?? []), ...selected.map((pod) => titles.get(pod) ?? pod)]),
        connections: new Set([...(before?.connections ?? []), ...connections]),
        rules: rules.flatMap((index) => ruleText(set.rules[index])),
      });
    }
  }
  return found;
}

/** What a port of these pods is called, where its number is made up. */
type PortName = (pods: readonly string[], port: number) => string | undefined;

function connectionText(entry: PolicyEntry, pods: readonly string[], portName: PortName): string {
  const { direction, protocol, port, portBits } = entry;
  const last = port + 2 ** (16 - portBits) - 1;
  const ports = portBits === 0 ? 'any port' : port === last ? (portName(pods, port) ?? `${port}`) : `${port}-${last}`;
  const side = direction === Direction.DIRECTION_INGRESS ? 'ingress' : 'egress';
  return `${side} ${ports}/${protocol === Protocol.PROTOCOL_TCP ? 'TCP' : 'any protocol'}`;
}

function ruleText(rule: Rule | undefined): string[] {
  if (rule?.policy === undefined) return [];
  return [routeName(rule.policy, rule.direction === Direction.DIRECTION_INGRESS ? 'ingress' : 'egress', rule.index)];
}

/** Clusters, listeners and routes of these nodes, each once; equal names are equal resources, wherever they are. */
export function envoyResources(
  { shared, nodes }: Pick<Compiled, 'shared' | 'nodes'>,
  titles: ReadonlyMap<string, string> = new Map(),
  portName?: PortName,
): ConfiguredResource[] {
  const found = new Map<string, { readonly resource: NodeResource; readonly nodes: string[] }>();
  const behind = new Map<string, Behind>();
  const forAll = [...shared].filter(([, { resource }]) => resource?.$case === 'envoy');
  for (const [node, held] of nodes) {
    for (const [name, resource] of new Map([...forAll, ...held])) {
      if (resource.resource?.$case !== 'envoy') continue;
      const known = found.get(name);
      if (known === undefined) found.set(name, { resource, nodes: [node] });
      else known.nodes.push(node);
    }
    for (const [name, one] of behindListeners(held.values(), titles, portName)) {
      const known = behind.get(name);
      behind.set(
        name,
        known === undefined
          ? one
          : { ...one, pods: known.pods.union(one.pods), connections: known.connections.union(one.connections) },
      );
    }
  }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, { resource, nodes: holders }]) => {
      const shown = showEnvoy(resource);
      return shown === undefined ? [] : [{ ...shown, annotations: annotationsOf(behind.get(shown.name), holders) }];
    });
}

function annotationsOf(behind: Behind | undefined, nodes: readonly string[]): Record<string, string> {
  const list = (items: Iterable<string>) => [...items].sort().join(', ');
  return {
    ...(behind === undefined
      ? {}
      : {
          'weft.dev/pods': list(behind.pods),
          'weft.dev/connections': list(behind.connections),
          'weft.dev/rules': behind.rules.join(', '),
        }),
    ...(nodes.join() === ANY_NODE ? {} : { 'weft.dev/nodes': list(nodes) }),
  };
}
