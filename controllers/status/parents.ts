/** `status.parents` of routes of the Gateway API, which several controllers write, each its own entries. */
import {
  type Clock,
  type Condition,
  type ConditionInput,
  conditionsOf,
  type Kind,
  type KubeClient,
  KubeError,
  nextConditions,
  type RateLimit,
  sleep,
  structurallyEqual,
} from 'kopf-ts';
import type { RouteVerdict } from '../../reconcilers/index.ts';
import { isServiceParent } from '../../sources/index.ts';
import type { SourceObject } from '../facts/collector.ts';
import type { RouteState } from '../model.ts';

export const CONTROLLER_NAME = 'weft.dev/gateway-controller';

/** Longest message that the API server takes is 32,768 characters; nobody reads that much. */
const MAX_MESSAGE = 4096;

/** What is to be said of one entry of `spec.parentRefs`. */
export interface WantedParent {
  readonly parentRef: unknown;
  readonly conditions: readonly ConditionInput[];
}

interface ParentStatus {
  readonly parentRef: unknown;
  readonly controllerName: string;
  readonly conditions: readonly Condition[];
}

/** What the route's status must say of those parents that are this controller's. */
export function wantedParents(object: SourceObject, state: RouteState | undefined): WantedParent[] {
  const refs = listAt(object, 'spec', 'parentRefs');
  return refs.flatMap((parentRef, index) =>
    isServiceParent(parentRef) ? [{ parentRef, conditions: parentConditions(state, index) }] : [],
  );
}

/** Conditions Accepted and ResolvedRefs for one parent. */
function parentConditions(state: RouteState | undefined, index: number): ConditionInput[] {
  return [parentAccepted(state, index), routeReferences(state)];
}

/** `index`: in the list of parents that was written. */
export function parentAccepted(state: RouteState | undefined, index: number): ConditionInput {
  const refused = state?.fact.refused?.find((each) => each.index === index);
  if (refused !== undefined) return condition('Accepted', 'False', refused.reason, refused.message);
  const parent = state?.verdict?.parents.find((each) => each.index === index);
  if (parent === undefined) return condition('Accepted', 'Unknown', 'Pending', 'It was not compiled yet.');
  const message = parent.message || 'It is part of what decides on requests to the Service.';
  return condition('Accepted', parent.accepted ? 'True' : 'False', parent.reason, message);
}

export function routeReferences(state: RouteState | undefined): ConditionInput {
  const unread = state === undefined || (state.fact.rules.length === 0 && state.fact.parents.length === 0);
  const resolved = unread ? undefined : (state.verdict?.resolvedRefs ?? ownReferences(state));
  if (resolved === undefined) {
    return condition('ResolvedRefs', 'Unknown', 'Pending', 'Its backends were not looked at: see condition Accepted.');
  }
  const message = resolved.message || 'All backends exist.';
  return condition('ResolvedRefs', resolved.status ? 'True' : 'False', resolved.reason, message);
}

/** What is known to be wrong without looking for the backends. */
function ownReferences({ fact: { rules } }: RouteState): RouteVerdict['resolvedRefs'] | undefined {
  const refused = rules
    .flatMap(({ backends, filters }) => [
      ...backends,
      ...filters.flatMap((filter) => (filter.kind === 'mirror' ? [filter.backend] : [])),
    ])
    .find((backend) => backend.refused !== undefined)?.refused;
  return refused === undefined ? undefined : { status: false, ...refused };
}

function condition(type: string, status: ConditionInput['status'], reason: string, message: string): ConditionInput {
  return { type, status, reason, message: message.slice(0, MAX_MESSAGE) };
}

/**
 * `status.parents` as it has to become; undefined where it says all of `wanted` already. Others' entries stay as they
 * are and where they are; `lastTransitionTime` is that of the entry for the same parent while the status is the same.
 * @param now wall time in milliseconds
 */
export function nextParents(
  object: SourceObject,
  wanted: readonly WantedParent[],
  now: number,
): readonly unknown[] | undefined {
  const all = listAt(object, 'status', 'parents');
  const own = all.filter(isOurs);
  const next = wanted.map(({ parentRef, conditions }): ParentStatus => {
    const before = own.find((entry) => structurallyEqual(entry.parentRef, parentRef));
    const previous = conditionsOf({ status: before });
    return {
      parentRef,
      controllerName: CONTROLLER_NAME,
      conditions: nextConditions(previous, conditions, object.metadata.generation, now),
    };
  });
  if (structurallyEqual(own.map(meaningOf), next.map(meaningOf))) return undefined;
  return [...all.filter((entry) => !isOurs(entry)), ...next];
}

/** Conditions in the order of their types: a map for the API server. */
function meaningOf({ parentRef, conditions }: { readonly parentRef: unknown; readonly conditions: unknown }): object {
  const sorted = conditionsOf({ status: { conditions } }).sort((a, b) => (a.type < b.type ? -1 : 1));
  return { parentRef, conditions: sorted };
}

function isOurs(entry: unknown): entry is { readonly parentRef: unknown; readonly conditions: unknown } {
  return fieldOf(entry, 'controllerName') === CONTROLLER_NAME;
}

function listAt(object: SourceObject, part: 'spec' | 'status', name: string): readonly unknown[] {
  const value = fieldOf(fieldOf(object, part), name);
  return Array.isArray(value) ? value : [];
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Object.getOwnPropertyDescriptor(value, name)?.value : undefined;
}

export interface ParentsWriterOptions {
  readonly client: KubeClient;
  /** The cap on writes of statuses. */
  readonly limit: RateLimit;
  readonly clock: Clock;
}

/** Writes `status.parents`. The list belongs to all controllers as a whole, so only an unchanged one is replaced. */
export class ParentsWriter {
  readonly #options: ParentsWriterOptions;

  constructor(options: ParentsWriterOptions) {
    this.#options = options;
  }

  /** Resolves with false where somebody else wrote the object since it was read: look at it again. */
  async write(
    kind: Kind,
    object: SourceObject,
    wanted: readonly WantedParent[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const { client, limit, clock } = this.#options;
    const parents = nextParents(object, wanted, clock.now());
    if (parents === undefined) return true;
    for (let answer = limit.take(); !answer.taken; answer = limit.take()) {
      await sleep(clock, answer.waitMs, signal);
      if (signal.aborted) return true;
    }
    const { namespace, name, resourceVersion } = object.metadata;
    try {
      const patch = { metadata: { resourceVersion }, status: { parents } };
      await client.patch(kind, { namespace, name }, patch, { subresource: 'status', signal });
      return true;
    } catch (error) {
      if (error instanceof KubeError && error.isConflict) return false;
      if (error instanceof KubeError && error.isNotFound) return true;
      throw error;
    }
  }
}
