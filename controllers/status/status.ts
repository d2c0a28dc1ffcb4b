import {
  type Clock,
  type Condition,
  type ConditionInput,
  Controller,
  conditionsOf,
  type EventRecorder,
  type Kind,
  type OnError,
  type Source,
  type StatusWriter,
  type WorkResult,
} from 'kopf-ts';
import type { Problem } from '../../reconcilers/facts.ts';
import type { FactCollector, SourceObject } from '../facts/collector.ts';
import { type SourceKindName, sourceKindNames, sourceKinds } from '../kinds.ts';
import type { Model } from '../model.ts';
import { l7RouteConditions, meshServiceConditions, policyConditions, sentence, serviceState } from './conditions.ts';
import { type Remark, Remarks } from './events.ts';
import { StatusLedger } from './ledger.ts';
import { type ParentsWriter, wantedParents } from './parents.ts';
import { type Progress, policyProgress, sharedProgress } from './progress.ts';

export interface StatusOptions {
  readonly model: Model;
  readonly collector: Pick<FactCollector, 'object' | 'objects' | 'ready'>;
  readonly writer: StatusWriter;
  readonly parents: Pick<ParentsWriter, 'write'>;
  readonly recorder: Pick<EventRecorder, 'emit'>;
  /** Whether a node has accepted a resource that is as it is since a revision of the cache. */
  readonly accepted: (node: string, name: string, revision: number) => boolean;
  readonly clock: Clock;
  readonly onError: OnError;
  readonly timing?: Partial<StatusTiming>;
}

/** All in milliseconds. */
export interface StatusTiming {
  /** So long a generation may take to be enforced before its status says that it is not: mostly one write does. */
  readonly patience: number;
  /** The same where it is known already that it can't be: a node that is away, a problem of the object. */
  readonly impatience: number;
  /** So long a Service may be without backends before an event says so. */
  readonly emptyService: number;
  /** So long a policy of a kind without conditions may select no pods before an event says so. */
  readonly emptySelector: number;
}

const DEFAULT_TIMING: StatusTiming = {
  patience: 5_000,
  impatience: 1_000,
  emptyService: 10_000,
  emptySelector: 10_000,
};

/** Writes what the compiler and the nodes say into statuses and events. To be run by the leader only. */
export class StatusReconciler {
  readonly controller: Controller;
  readonly #options: StatusOptions;
  readonly #timing: StatusTiming;
  readonly #ledger = new StatusLedger();
  readonly #remarks: Remarks;
  /** Objects whose newest generation is not enforced everywhere. */
  readonly #unsettled = new Set<string>();
  readonly #emptySince = new Map<string, number>();
  /** Set while this replica leads. */
  #enqueue: ((key: string) => void) | undefined;

  constructor(options: StatusOptions) {
    this.#options = options;
    this.#timing = { ...DEFAULT_TIMING, ...options.timing };
    this.#remarks = new Remarks(options.recorder);
    this.controller = new Controller({
      name: 'status',
      sources: [this.#source()],
      reconcile: (key, { signal }) => this.#reconcile(key, signal),
      concurrency: 8,
      onError: options.onError,
      clock: options.clock,
    });
  }

  /** Nodes said something new. Whoever calls this often should collect what they say for some milliseconds. */
  nodesChanged(): void {
    for (const key of this.#unsettled) this.#enqueue?.(key);
  }

  /** Somebody changed the status of an object. */
  statusChanged(key: string): void {
    this.#enqueue?.(key);
  }

  #source(): Source {
    const { model, collector } = this.#options;
    return {
      ready: collector.ready,
      start: (enqueue) => {
        for (const name of WITH_STATUS) {
          for (const { metadata } of collector.objects(name)) enqueue(keyFor(name, metadata));
        }
        for (const key of [...model.policies.keys(), ...model.problems.keys()]) enqueue(key);
        for (const service of model.emptyServices) enqueue(`Service/${service}`);
        this.#enqueue = enqueue;
        const end = model.subscribe((keys) => {
          for (const key of keys) enqueue(key);
        });
        return () => {
          this.#enqueue = undefined;
          end();
        };
      },
    };
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<WorkResult | undefined> {
    const { collector } = this.#options;
    const object = collector.object(key);
    if (object === undefined) {
      this.#forget(key);
      return undefined;
    }
    switch (kindNameOf(key)) {
      case 'CiliumNetworkPolicy':
        return this.#policy(key, sourceKinds.CiliumNetworkPolicy, object, signal);
      case 'CiliumClusterwideNetworkPolicy':
        return this.#policy(key, sourceKinds.CiliumClusterwideNetworkPolicy, object, signal);
      case 'MeshService':
        return this.#meshService(key, object, signal);
      case 'HTTPRoute':
        return this.#gatewayRoute(key, sourceKinds.HTTPRoute, object, signal);
      case 'GRPCRoute':
        return this.#gatewayRoute(key, sourceKinds.GRPCRoute, object, signal);
      case 'L7Route':
        return this.#l7Route(key, object, signal);
      case 'NetworkPolicy':
        return this.#networkPolicy(key, object);
      case 'Service':
        return this.#service(key, object);
      default:
        this.#remark(key, object, []);
        return undefined;
    }
  }

  #forget(key: string): void {
    this.#ledger.forget(key);
    this.#remarks.forget(key);
    this.#unsettled.delete(key);
    this.#emptySince.delete(key);
  }

  async #policy(key: string, kind: Kind, object: SourceObject, signal: AbortSignal): Promise<WorkResult | undefined> {
    const { model } = this.#options;
    const state = model.policies.get(key);
    const problems = problemsOf(model, key);
    // Compiled from another generation than the one that is there now: the next output is on its way.
    if (state !== undefined && Number(state.ref.generation) !== (object.metadata.generation ?? 0)) return undefined;
    if (state === undefined && problems.length === 0) return undefined;
    this.#remark(
      key,
      object,
      state?.ineffective.map(({ message }) => ({ reason: 'Ineffective', note: message })) ?? [],
    );
    const existing = conditionsOf(object);
    const enforced = this.#ledger.isEnforced(key, object, existing);
    const progress = state === undefined || enforced ? nothingMissing : policyProgress(state, model);
    const compiled = state === undefined ? undefined : progress;
    const wanted = policyConditions({ problems, pods: state?.pods ?? 0, progress: compiled });
    return this.#say({ key, kind, object, existing, wanted, progress, signal, fields: {} });
  }

  async #meshService(key: string, object: SourceObject, signal: AbortSignal): Promise<WorkResult | undefined> {
    const { model, collector, accepted } = this.#options;
    const problems = problemsOf(model, key);
    this.#remark(key, object, []);
    const name = key.slice('MeshService/'.length);
    const service = serviceState(collector.object(`Service/${name}`));
    const existing = conditionsOf(object);
    const revision = model.serviceRevisions.get(name);
    const resource = `service/${name}`;
    const progress =
      service !== 'found' || this.#ledger.isEnforced(key, object, existing)
        ? nothingMissing
        : sharedProgress([resource], model.nodes, model, (node) =>
            revision === undefined ? false : accepted(node, resource, revision),
          );
    const wanted = meshServiceConditions({ problems, service, progress });
    const fields = { observedGeneration: object.metadata.generation ?? 0 };
    return this.#say({ key, kind: sourceKinds.MeshService, object, existing, wanted, progress, signal, fields });
  }

  /** Of routes that are of no concern here any more the entries of before are taken away. */
  async #gatewayRoute(
    key: string,
    kind: Kind,
    object: SourceObject,
    signal: AbortSignal,
  ): Promise<WorkResult | undefined> {
    const state = this.#options.model.routes.get(key);
    this.#remark(key, object, []);
    const wanted = wantedParents(object, state);
    // Compiled from another generation than the one that is there now: the next output is on its way.
    if (wanted.length > 0 && state?.fact.generation !== (object.metadata.generation ?? 0)) return undefined;
    const done = await this.#options.parents.write(kind, object, wanted, signal);
    return done ? undefined : { requeueAfterMs: CONFLICT_MS };
  }

  async #l7Route(key: string, object: SourceObject, signal: AbortSignal): Promise<WorkResult | undefined> {
    const { model, accepted } = this.#options;
    const state = model.routes.get(key);
    const problems = problemsOf(model, key);
    if (state === undefined && problems.length === 0) return undefined;
    // Compiled from another generation than the one that is there now: the next output is on its way.
    if (state !== undefined && state.fact.generation !== (object.metadata.generation ?? 0)) return undefined;
    this.#remark(key, object, []);
    const existing = conditionsOf(object);
    const resources = state === undefined ? undefined : model.routeResources(state.fact);
    const progress =
      resources === undefined || this.#ledger.isEnforced(key, object, existing)
        ? nothingMissing
        : sharedProgress([...resources.keys()], model.nodes, model, (node, name) =>
            accepted(node, name, resources.get(name) ?? 0),
          );
    const wanted = l7RouteConditions({ problems, state, told: resources !== undefined, progress });
    const fields = { observedGeneration: object.metadata.generation ?? 0 };
    return this.#say({ key, kind: sourceKinds.L7Route, object, existing, wanted, progress, signal, fields });
  }

  /** It has no conditions: events say what those of other kinds say. */
  #networkPolicy(key: string, object: SourceObject): WorkResult | undefined {
    const state = this.#options.model.policies.get(key);
    const ineffective = state?.ineffective.map(({ message }) => ({ reason: 'Ineffective', note: message })) ?? [];
    return this.#remarkEmpty(key, object, ineffective, state?.pods === 0, this.#timing.emptySelector, {
      reason: 'SelectsNoPods',
      note:
        'No pod of this namespace is selected, so the policy protects nothing now; a pod that it selects has it in ' +
        'force before it has a network. Compare spec.podSelector with the labels of the pods that it is meant for.',
    });
  }

  #service(key: string, object: SourceObject): WorkResult | undefined {
    const empty = this.#options.model.emptyServices.has(key.slice('Service/'.length));
    return this.#remarkEmpty(key, object, [], empty, this.#timing.emptyService, {
      reason: 'NoEndpoints',
      note:
        'No ready pod is behind this Service, so connections to it are refused. Compare its selector with the labels ' +
        'of the pods that it is meant for, and look at their readiness probes.',
    });
  }

  /** Says `others`, and `remark` once the object was empty for `afterMs`. */
  #remarkEmpty(
    key: string,
    object: SourceObject,
    others: readonly Remark[],
    empty: boolean,
    afterMs: number,
    remark: Remark,
  ): WorkResult | undefined {
    const now = this.#options.clock.monotonic();
    const since = empty ? (this.#emptySince.get(key) ?? now) : undefined;
    if (since === undefined) this.#emptySince.delete(key);
    else this.#emptySince.set(key, since);
    const left = since === undefined ? 0 : since + afterMs - now;
    this.#remark(key, object, since === undefined || left > 0 ? others : [...others, remark]);
    return left > 0 ? { requeueAfterMs: left } : undefined;
  }

  /** Says what is wrong with the object itself, and `more`, in events. */
  #remark(key: string, object: SourceObject, more: readonly Remark[]): void {
    const name = kindNameOf(key);
    if (name === undefined) return;
    const invalid = problemsOf(this.#options.model, key).map((problem) => ({
      reason: problem.severity === 'error' ? 'Invalid' : 'Questionable',
      note: sentence(problem),
    }));
    this.#remarks.say(key, sourceKinds[name], object, [...invalid, ...more]);
  }

  async #say(saying: Saying): Promise<WorkResult | undefined> {
    const { writer, clock } = this.#options;
    const { key, kind, object, existing, wanted, progress, signal, fields } = saying;
    if (progress.missing.length === 0) this.#unsettled.delete(key);
    else this.#unsettled.add(key);
    if (!this.#ledger.isNews(key, object, existing, wanted)) return undefined;
    if (progress.missing.length > 0) {
      const clear = progress.missing.some(({ why }) => why !== 'Pending') || wanted[0]?.status === 'False';
      const wait = clear ? this.#timing.impatience : this.#timing.patience;
      const left = wait - this.#ledger.age(key, object, clock.monotonic());
      if (left > 0) return { requeueAfterMs: left };
    }
    await writer.write(kind, object, { conditions: wanted, fields }, signal);
    if (!signal.aborted) this.#ledger.said(key, object, wanted);
    return undefined;
  }
}

interface Saying {
  readonly key: string;
  readonly kind: Kind;
  readonly object: SourceObject;
  readonly existing: readonly Condition[];
  readonly wanted: readonly ConditionInput[];
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly fields: { readonly observedGeneration?: number };
}

/** After so many milliseconds a status that somebody else wrote at the same time is looked at again. */
const CONFLICT_MS = 200;

const WITH_STATUS = [
  'CiliumNetworkPolicy',
  'CiliumClusterwideNetworkPolicy',
  'MeshService',
  'HTTPRoute',
  'GRPCRoute',
  'L7Route',
] as const;

const nothingMissing: Progress = { nodes: 0, missing: [] };

function keyFor(name: SourceKindName, { namespace, name: object }: SourceObject['metadata']): string {
  return namespace === undefined ? `${name}/${object}` : `${name}/${namespace}/${object}`;
}

function kindNameOf(key: string): SourceKindName | undefined {
  const name = key.slice(0, key.indexOf('/'));
  return sourceKindNames.find((known) => known === name);
}

/** What the translator and the compiler found, each once. */
function problemsOf(model: Model, key: string): readonly Problem[] {
  const all = [...(model.problems.get(key) ?? []), ...(model.policies.get(key)?.problems ?? [])];
  return [...new Map(all.map((problem) => [sentence(problem), problem])).values()];
}
