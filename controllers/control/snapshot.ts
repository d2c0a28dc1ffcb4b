import type { Problem } from '../../reconcilers/facts.ts';
import type { PolicyState } from '../../reconcilers/index.ts';
import type { FactCollector } from '../facts/collector.ts';
import type { Model } from '../model.ts';
import type { ReportStore } from '../reports/store.ts';
import { resolvedRefs, serviceState } from '../status/conditions.ts';
import { policyProgress, sharedProgress } from '../status/progress.ts';

/** How many of those concerned enforce the newest state, and which do not. */
export interface Enforcement {
  readonly enforced: number;
  readonly of: number;
  readonly missing: readonly { readonly node: string; readonly why: string; readonly message: string }[];
}

export interface NodeSnapshot {
  readonly name: string;
  readonly connected: boolean;
  readonly agentVersion: string;
  readonly synced: boolean;
  /** Policy sets that the node holds in their newest version, of those that it should. */
  readonly policySets: { readonly enforced: number; readonly of: number };
  readonly errors: readonly { readonly resource: string; readonly message: string }[];
  readonly conditions: readonly {
    readonly type: string;
    readonly status: boolean;
    readonly reason: string;
    readonly message: string;
  }[];
}

export interface PolicySnapshot {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
  /** How many pods it selects. */
  readonly pods: number;
  readonly nodes: Enforcement;
  readonly problems: readonly Problem[];
  readonly ineffective: readonly {
    readonly by: { readonly kind: string; readonly namespace: string; readonly name: string };
    readonly direction: string;
    readonly message: string;
  }[];
}

export interface MeshServiceSnapshot {
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
  readonly nodes: Enforcement;
  readonly problems: readonly Problem[];
}

export interface OperatorSnapshot {
  readonly version: string;
  readonly identity: string;
  readonly leader: boolean;
  readonly ready: boolean;
  /** Kinds that were not read yet. */
  readonly waitingFor: readonly string[];
  /** Kinds that are not installed. */
  readonly absent: readonly string[];
}

export interface StatusSnapshot {
  readonly operator: OperatorSnapshot;
  readonly nodes: readonly NodeSnapshot[];
  readonly policies: readonly PolicySnapshot[];
  readonly meshServices: readonly MeshServiceSnapshot[];
  /** Of objects that are neither policies nor MeshServices. */
  readonly problems: readonly { readonly object: string; readonly problems: readonly Problem[] }[];
}

export interface SnapshotOptions {
  readonly model: Model;
  readonly reports: ReportStore;
  readonly collector: Pick<FactCollector, 'object' | 'objects'>;
  readonly accepted: (node: string, name: string, revision: number) => boolean;
  readonly operator: () => OperatorSnapshot;
}

/** All that the operator knows, sorted, so that two snapshots can be compared. */
export function statusSnapshot(options: SnapshotOptions): StatusSnapshot {
  return {
    operator: options.operator(),
    nodes: nodeSnapshots(options),
    policies: policySnapshots(options),
    meshServices: meshServiceSnapshots(options),
    problems: [...options.model.problems]
      .filter(([key]) => !key.startsWith('MeshService/') && !options.model.policies.has(key))
      .map(([object, problems]) => ({ object, problems }))
      .sort((a, b) => compare(a.object, b.object)),
  };
}

export function nodeSnapshots({ model }: SnapshotOptions): NodeSnapshot[] {
  return [...model.nodes].sort(compare).map((name) => {
    const status = model.status(name);
    const view = model.view(name);
    const sets = [...(view?.ownNames() ?? [])].filter((own) => own.startsWith('policyset/'));
    const held = sets.filter((set) => status !== undefined && status.versions.get(set) === view?.version(set));
    return {
      name,
      connected: status?.connected ?? false,
      agentVersion: status?.agentVersion ?? '',
      synced: status?.synced ?? false,
      policySets: { enforced: held.length, of: sets.length },
      errors: [...(status?.errors ?? [])]
        .map(([resource, message]) => ({ resource, message }))
        .sort((a, b) => compare(a.resource, b.resource)),
      conditions: (status?.conditions ?? []).map(({ type, status: holds, reason, message }) => ({
        type,
        status: holds,
        reason,
        message,
      })),
    };
  });
}

export function policySnapshots({ model }: SnapshotOptions): PolicySnapshot[] {
  return [...model.policies]
    .sort(([a], [b]) => compare(a, b))
    .map(([, state]) => ({
      ...refOf(state),
      generation: Number(state.ref.generation),
      pods: state.pods,
      nodes: enforcement(policyProgress(state, model)),
      problems: state.problems,
      ineffective: state.ineffective.map(({ by, direction, message }) => ({
        by: { kind: by.kind, namespace: by.namespace, name: by.name },
        direction,
        message,
      })),
    }));
}

export function meshServiceSnapshots({ model, collector, accepted }: SnapshotOptions): MeshServiceSnapshot[] {
  return [...collector.objects('MeshService')]
    .map(({ metadata }) => {
      const key = `${metadata.namespace ?? ''}/${metadata.name}`;
      const revision = model.serviceRevisions.get(key);
      const resource = `service/${key}`;
      const service = resolvedRefs(serviceState(collector.object(`Service/${key}`)));
      const unresolved: readonly Problem[] =
        service.status === 'True' ? [] : [{ severity: 'error', field: 'metadata.name', message: service.message }];
      const progress = sharedProgress([resource], model.nodes, model, (node) =>
        revision === undefined ? false : accepted(node, resource, revision),
      );
      return {
        namespace: metadata.namespace ?? '',
        name: metadata.name,
        generation: metadata.generation ?? 0,
        nodes: enforcement(progress),
        problems: [...(model.problems.get(`MeshService/${key}`) ?? []), ...unresolved],
      };
    })
    .sort((a, b) => compare(`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`));
}

function refOf({ ref: { kind, namespace, name } }: PolicyState): { kind: string; namespace: string; name: string } {
  return { kind, namespace, name };
}

function enforcement({ nodes, missing }: ReturnType<typeof policyProgress>): Enforcement {
  return { enforced: nodes - missing.length, of: nodes, missing };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
