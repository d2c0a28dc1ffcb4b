/** Pods that policies are shown for: those in the files, those of workloads there, and stand-ins for all others. */
import { selects } from '../../reconcilers/identity/selector.ts';
import type {
  Fact,
  Labels,
  NamedPort,
  NamespaceFact,
  PodFact,
  PolicyFact,
  PolicyPart,
  Requirement,
  Selector,
} from '../../reconcilers/index.ts';
import type { ReadObject } from '../files/read.ts';

/** Where pods are that no node is told of. */
export const ANY_NODE = 'any-node';

type Json = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  'apps/v1 Deployment': ['spec', 'template'],
  'apps/v1 StatefulSet': ['spec', 'template'],
  'apps/v1 DaemonSet': ['spec', 'template'],
  'apps/v1 ReplicaSet': ['spec', 'template'],
  'batch/v1 Job': ['spec', 'template'],
  'batch/v1 CronJob': ['spec', 'jobTemplate', 'spec', 'template'],
};

export const isWorkload = ({ apiVersion, kind }: ReadObject): boolean => `${apiVersion} ${kind}` in TEMPLATES;

/** One pod as the workload's controller would make it, named after it. */
export function podOfWorkload(object: ReadObject): ReadObject | undefined {
  let template: unknown = object;
  for (const field of TEMPLATES[`${object.apiVersion} ${object.kind}`] ?? []) {
    template = isRecord(template) ? template[field] : undefined;
  }
  if (!isRecord(template)) return undefined;
  const labels = isRecord(template.metadata) ? template.metadata.labels : undefined;
  const { namespace, name } = object.metadata;
  const metadata = { name: `${object.kind}/${name}`, ...(namespace === undefined ? {} : { namespace }), labels };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: template.spec };
}

/** With what only the API server and the scheduler know. */
export function runningPod(pod: ReadObject): ReadObject {
  const spec = isRecord(pod.spec) ? pod.spec : {};
  const { namespace, name } = pod.metadata;
  return {
    ...pod,
    metadata: { uid: `file/${namespace}/${name}`, ...pod.metadata },
    spec: { ...spec, nodeName: spec.nodeName ?? ANY_NODE },
  };
}

export interface StandIns {
  readonly facts: readonly Fact[];
  /** What each stands for, by namespace/name. */
  readonly titles: ReadonlyMap<string, string>;
}

/**
 * A pod for each selector of policies that selects none of the given ones: of subjects and of peers. Combinations of
 * labels that no selector asks for are not made up.
 */
export function standIns(facts: readonly Fact[]): StandIns {
  const pods = facts.filter((fact) => fact.kind === 'pod');
  const policies = facts.filter((fact) => fact.kind === 'policy');
  const namespaces = new Map(
    facts.filter((fact) => fact.kind === 'namespace').map(({ name, labels }) => [name, labels] as [string, Labels]),
  );
  const made: Fact[] = [];
  const titles = new Map<string, string>();
  const cover = (selector: Selector, ports: readonly NamedPort[]): void => {
    if (pods.some((pod) => isReal(pod) && selects(selector, pod, labelsOf(namespaces, pod.namespace)))) return;
    const found = podFor(selector, namespaces, `stand-in-${pods.length}`, ports);
    if (found === undefined) return;
    pods.push(found.pod);
    made.push(found.pod);
    titles.set(`${found.pod.namespace}/${found.pod.name}`, selectorText(selector));
    if (found.namespace === undefined) return;
    made.push(found.namespace);
    namespaces.set(found.namespace.name, found.namespace.labels);
  };
  for (const part of policies.flatMap(({ parts }) => parts)) cover(part.subject, portsOf(part));
  for (const selector of policies.flatMap(peersOf)) cover(selector, []);
  if (!facts.some(({ kind }) => kind === 'node')) {
    made.push({ kind: 'node', name: ANY_NODE, addresses: [], podCidrs: [] });
  }
  // Classes of peers are known by addresses: here one of each pod, out of a prefix that nobody uses (RFC 3849).
  const addressed = [...facts, ...made].map((fact, index): Fact => {
    if (fact.kind !== 'pod' || !isReal(fact) || fact.addresses.length > 0) return fact;
    return { ...fact, addresses: [`2001:db8::${(index + 1).toString(16)}` as PodFact['addresses'][number]] };
  });
  return { facts: addressed, titles };
}

/** No policy is about the others. */
const isReal = ({ hostNetwork, terminated }: PodFact): boolean => !hostNetwork && !terminated;

function peersOf({ parts }: PolicyFact): Selector[] {
  return parts.flatMap(({ rules }) =>
    rules.flatMap(({ peers }) => peers.flatMap((peer) => (peer.kind === 'pods' ? [peer.selector] : []))),
  );
}

/** Port names mean something for pods that have them; the numbers are made up. */
function portsOf({ rules }: PolicyPart): NamedPort[] {
  const names = new Map<string, NamedPort>();
  for (const { direction, ports } of rules) {
    for (const port of ports) {
      if (direction !== 'ingress' || !('portName' in port)) continue;
      const protocol = port.protocol === 'ANY' ? 'TCP' : port.protocol;
      names.set(`${port.portName} ${protocol}`, { name: port.portName, protocol, port: 1 + names.size });
    }
  }
  return [...names.values()];
}

const labelsOf = (namespaces: ReadonlyMap<string, Labels>, name: string): Labels =>
  namespaces.get(name) ?? { [NAME_LABEL]: name };

/** Given to each namespace by the API server. */
export const NAME_LABEL = 'kubernetes.io/metadata.name';

/** undefined: no pod can be like that, or none in the namespaces as they are. */
function podFor(
  selector: Selector,
  namespaces: ReadonlyMap<string, Labels>,
  name: string,
  ports: readonly NamedPort[],
): { readonly pod: PodFact; readonly namespace?: NamespaceFact } | undefined {
  const wanted = (scope: Requirement['scope']) => selector.filter((requirement) => requirement.scope === scope);
  const labels = labelsFor(wanted('pod-label'));
  const account = valueFor(wanted('service-account'), 'default');
  const asked = labelsFor(wanted('namespace-label'));
  const pod = (namespace: string): PodFact => ({
    kind: 'pod',
    namespace,
    name,
    uid: `${namespace}/${name}`,
    node: ANY_NODE,
    labels,
    serviceAccount: account ?? 'default',
    addresses: [],
    hostNetwork: false,
    terminated: false,
    deleting: false,
    created: '',
    ports,
    proxy: false,
  });
  const known = [...namespaces].find(([namespace, has]) => selects(selector, pod(namespace), has));
  if (known !== undefined) return { pod: pod(known[0]) };
  const namespace = valueFor(wanted('namespace'), asked[NAME_LABEL] ?? 'any-namespace');
  if (namespace === undefined || namespaces.has(namespace)) return undefined;
  const made: NamespaceFact = { kind: 'namespace', name: namespace, labels: { ...asked, [NAME_LABEL]: namespace } };
  return selects(selector, pod(namespace), made.labels) ? { pod: pod(namespace), namespace: made } : undefined;
}

function labelsFor(requirements: readonly Requirement[]): Labels {
  const keys = [...new Set(requirements.map(({ key }) => key))].sort();
  return Object.fromEntries(
    keys.flatMap((key) => {
      const about = requirements.filter((requirement) => requirement.key === key);
      const isNeeded = about.some(({ operator }) => operator === 'In' || operator === 'Exists');
      const value = isNeeded ? valueFor(about, 'any') : undefined;
      return value === undefined ? [] : [[key, value]];
    }),
  );
}

/** A value that all of them take, the proposed one if they do. */
function valueFor(requirements: readonly Requirement[], proposed: string): string | undefined {
  const fits = (value: string) =>
    requirements.every(({ operator, values }) =>
      operator === 'In' ? values.includes(value) : operator !== 'NotIn' || !values.includes(value),
    );
  const given = requirements.flatMap(({ operator, values }) => (operator === 'In' ? [...values] : []));
  const others = requirements.map((_, index) => `${proposed}-${index}`);
  return [proposed, ...given, ...others].find(fits);
}

/** As `pods with app=api in namespace shop`. */
function selectorText(selector: Selector): string {
  const said = (scope: Requirement['scope']) => selector.filter((one) => one.scope === scope).map(requirementText);
  const parts = [
    ['with', said('pod-label')],
    ['of service account', said('service-account')],
    ['in namespace', said('namespace')],
    ['in namespaces with', said('namespace-label')],
  ] as const;
  const words = parts.flatMap(([word, list]) => (list.length === 0 ? [] : [`${word} ${list.join(', ')}`]));
  return ['pods', ...words].join(' ');
}

function requirementText({ key, operator, values }: Requirement): string {
  const is = key === '' ? '' : `${key}=`;
  switch (operator) {
    case 'In':
      return `${is}${values.join('|')}`;
    case 'NotIn':
      return `${key === '' ? 'not ' : `${key}!=`}${values.join('|')}`;
    case 'Exists':
      return key;
    case 'DoesNotExist':
      return `no ${key}`;
  }
}
