/** `weft render`: what objects in files become, without a cluster. */
import { envoyObjects } from '../../charts/envoy-configuration.ts';
import type { Fact, PodFact } from '../../reconcilers/index.ts';
import { UsageError } from '../errors.ts';
import { factsOf, inNamespace, lastOfEach, locate, sourceKindOf, titleOf } from '../files/objects.ts';
import type { FileObject, FileProblem, ReadFiles } from '../files/read.ts';
import { sourceKinds } from '../kinds.ts';
import { compile, envoyResources } from './compiled.ts';
import { isWorkload, NAME_LABEL, podOfWorkload, runningPod, standIns } from './pods.ts';

export interface RenderOptions {
  /** Of objects without one. */
  readonly namespace: string;
  /** Only what this node's Envoy is told. */
  readonly node?: string | undefined;
}

export interface Rendered {
  /** The files' objects, then Envoy's. */
  readonly objects: readonly object[];
  readonly problems: readonly FileProblem[];
}

/** @throws UsageError where the node holds nothing of the files */
export function render(files: ReadFiles, { namespace, node }: RenderOptions): Rendered {
  const placed = files.objects.map((one) => inNamespace(one, namespace, isNamespaced(one)));
  const { objects, problems: repeated } = lastOfEach(placed);
  const found = objects.map(readObject);
  const { facts, titles: madeUp } = standIns(found.flatMap((one) => one.facts));
  const titles = new Map([...workloadTitles(objects), ...madeUp]);
  const compiled = compile(facts);
  const policies = objects.flatMap(({ object, at }) => {
    const { namespace: within = '', name } = object.metadata;
    const key = [object.kind, within, name].filter((part) => part !== '').join('/');
    const state = sourceKindOf(object) === undefined ? undefined : compiled.policies.get(key);
    const wider = (state?.ineffective ?? []).map(({ message }) => ({
      severity: 'warning' as const,
      field: '',
      message: `${message}.`,
    }));
    return [...(state?.problems ?? []), ...wider].map((problem) => locate(problem, object, at));
  });
  const nodes = new Map([...compiled.nodes].filter(([name]) => node === undefined || name === node));
  if (node !== undefined && nodes.size === 0) {
    const known = [...compiled.nodes.keys()].sort().join(', ') || 'no node';
    throw new UsageError(`nothing of this is for node ${node}: the files have pods for ${known}`);
  }
  return {
    objects: [
      ...objects.map(({ object }) => object),
      ...envoyObjects(envoyResources({ shared: compiled.shared, nodes }, titles, portNames(facts, madeUp))),
    ],
    problems: unique([...files.problems, ...repeated, ...found.flatMap((one) => one.problems), ...policies]),
  };
}

/** Kinds that nothing is known of stay as they are. */
function isNamespaced({ object }: FileObject): boolean {
  const kind = sourceKindOf(object);
  return kind === undefined ? isWorkload(object) : sourceKinds[kind].namespaced;
}

function readObject(file: FileObject): { readonly facts: readonly Fact[]; readonly problems: readonly FileProblem[] } {
  const { object, at } = file;
  if (isWorkload(object)) {
    const pod = podOfWorkload(object);
    if (pod !== undefined) return factsOf('Pod', { object: runningPod(pod), at });
    const message = 'It has no template of pods.';
    return { facts: [], problems: [locate({ severity: 'error', field: 'spec', message }, object, at)] };
  }
  const kind = sourceKindOf(object);
  if (kind === undefined) return { facts: [], problems: [] };
  if (kind === 'Pod') return factsOf(kind, { object: runningPod(object), at });
  const { facts, problems } = factsOf(kind, file);
  return { facts: facts.map(named), problems };
}

/** Of their pods, by namespace/name. */
function workloadTitles(objects: readonly FileObject[]): [string, string][] {
  return objects.flatMap(({ object }) => {
    const pod = isWorkload(object) ? podOfWorkload(object) : undefined;
    return pod === undefined ? [] : [[`${pod.metadata.namespace}/${pod.metadata.name}`, titleOf(object)]];
  });
}

function named(fact: Fact): Fact {
  return fact.kind === 'namespace' ? { ...fact, labels: { ...fact.labels, [NAME_LABEL]: fact.name } } : fact;
}

function portNames(facts: readonly Fact[], titles: ReadonlyMap<string, string>) {
  const made = new Map<string, PodFact>();
  for (const fact of facts) {
    const key = fact.kind === 'pod' ? `${fact.namespace}/${fact.name}` : '';
    if (fact.kind === 'pod' && titles.has(key)) made.set(key, fact);
  }
  return (pods: readonly string[], port: number): string | undefined =>
    pods.flatMap((pod) => made.get(pod)?.ports ?? []).find((one) => one.port === port)?.name;
}

function unique(problems: readonly FileProblem[]): FileProblem[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()];
}
