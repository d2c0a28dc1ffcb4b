/** The objects of a cluster as facts, as far as the user may read them. */
import type { KubeClient, KubeObject } from 'kopf-ts';
import { KubeError, kindName } from 'kopf-ts';
import type { Fact } from '../../reconcilers/index.ts';
import { type SourceKind, translate } from '../../sources/index.ts';
import { UsageError } from '../errors.ts';
import { isUnavailable } from '../exec.ts';
import { selectorQuery, sourceKinds, workloadKinds } from '../kinds.ts';
import type { Target } from './target.ts';

const KINDS: readonly SourceKind[] = [
  'Namespace',
  'Node',
  'Pod',
  'Service',
  'EndpointSlice',
  'NetworkPolicy',
  'CiliumNetworkPolicy',
  'CiliumClusterwideNetworkPolicy',
];

export interface ClusterFacts {
  readonly facts: readonly Fact[];
  /** Kinds that the user may not list in all namespaces. */
  readonly hidden: readonly SourceKind[];
}

/** @param namespaces whose objects are read where the user may not list those of all */
export async function readFacts(client: KubeClient, namespaces: readonly string[]): Promise<ClusterFacts> {
  const hidden: SourceKind[] = [];
  const read = async (kind: SourceKind): Promise<KubeObject[]> => {
    try {
      return await client.list(sourceKinds[kind]);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      if (error.isNotFound) return [];
      hidden.push(kind);
      if (!sourceKinds[kind].namespaced) return [];
      const some = namespaces.map((namespace) => client.list(sourceKinds[kind], { namespace }).catch(nothing));
      return (await Promise.all(some)).flat();
    }
  };
  const all = await Promise.all(
    KINDS.map(async (kind) => (await read(kind)).flatMap((object) => translate(kind, object).facts)),
  );
  return { facts: all.flat(), hidden };
}

function nothing(error: unknown): KubeObject[] {
  if (isUnavailable(error)) return [];
  throw error;
}

/** A workload's pods instead of it; other targets as they are. @throws Error where it is absent or has no pods */
export async function expandWorkload(client: KubeClient, target: Target): Promise<readonly Target[]> {
  if (!('namespace' in target) || target.kind === 'pod' || target.kind === 'service') return [target];
  const { kind, namespace, name } = target;
  const of = workloadKinds[kind];
  const workload = await client.get(of, { namespace, name }).catch((error: unknown) => {
    if (!(error instanceof KubeError && error.isNotFound)) throw error;
    throw new UsageError(`there is no ${of.kind} ${namespace}/${name}: kubectl get ${kindName(of)} -n ${namespace}`);
  });
  const labelSelector = selectorQuery(workload.spec.selector);
  const pods = (await client.list(sourceKinds.Pod, { namespace, labelSelector })).filter(
    ({ metadata }) => metadata.deletionTimestamp === undefined,
  );
  if (pods.length === 0) throw new UsageError(`${of.kind} ${namespace}/${name} has no pods now: scale it up first`);
  return pods.map(({ metadata }) => ({ kind: 'pod', namespace, name: metadata.name }));
}
