import type { ConditionInput } from 'kopf-ts';
import type { Problem } from '../../reconcilers/facts.ts';
import type { SourceObject } from '../facts/collector.ts';
import type { RouteState } from '../model.ts';
import { parentAccepted, routeReferences } from './parents.ts';
import type { Missing, Progress } from './progress.ts';

/** Longest message that the API server takes is 32,768 characters; nobody reads that much. */
const MAX_MESSAGE = 4096;
const NAMED_NODES = 5;

export type ServiceState = 'found' | 'absent' | 'headless';

/** Conditions of a policy of a kind that has any. */
export function policyConditions(input: {
  readonly problems: readonly Problem[];
  readonly pods: number;
  /** undefined: nothing could be made of the policy. */
  readonly progress: Progress | undefined;
}): ConditionInput[] {
  const acceptance = accepted(input.problems);
  if (input.progress !== undefined) return [acceptance, enforced(input.progress, input.pods)];
  const message = 'Nothing could be made of it: see condition Accepted.';
  return [acceptance, { type: 'Enforced', status: 'False', reason: 'NotAccepted', message }];
}

/** Conditions of a MeshService. */
export function meshServiceConditions(input: {
  readonly problems: readonly Problem[];
  /** The Service of the same name and namespace exists and has a cluster IP. */
  readonly service: ServiceState;
  readonly progress: Progress;
}): ConditionInput[] {
  const acceptance = accepted(input.problems);
  const references = resolvedRefs(input.service);
  const usable = acceptance.status === 'True' && references.status === 'True';
  const programmed: ConditionInput = usable
    ? { type: 'Programmed', status: 'True', reason: 'Programmed', message: 'It is part of what all nodes are told.' }
    : { type: 'Programmed', status: 'False', reason: 'NotUsable', message: 'See the other conditions.' };
  const enforcement: ConditionInput = usable
    ? enforced(input.progress, undefined)
    : { type: 'Enforced', status: 'False', reason: 'NotUsable', message: 'See the other conditions.' };
  const all = [acceptance, references, programmed, enforcement];
  return [...all, ready(all)];
}

/** Conditions of an L7Route. */
export function l7RouteConditions(input: {
  readonly problems: readonly Problem[];
  /** undefined: nothing could be made of the route. */
  readonly state: RouteState | undefined;
  /** All of its Services have a port that nodes are told to have Envoy route. */
  readonly told: boolean;
  readonly progress: Progress;
}): ConditionInput[] {
  const { problems, state, told, progress } = input;
  const acceptance = routeAccepted(problems, state);
  const references = routeReferences(state);
  const type = 'Programmed';
  const notAccepted = { status: 'False', reason: 'NotAccepted', message: 'See condition Accepted.' } as const;
  const some = state !== undefined && state.fact.parents.length > 0;
  const programmed: ConditionInput =
    some && told
      ? { type, status: 'True', reason: 'Programmed', message: 'It is part of what all nodes are told.' }
      : { type, ...notAccepted };
  const enforcement: ConditionInput =
    some && told ? enforced(progress, undefined) : { type: 'Enforced', ...notAccepted };
  const all = [acceptance, references, programmed, enforcement];
  return [...all, ready(all)];
}

/** False where any of its Services does not take the route. */
function routeAccepted(problems: readonly Problem[], state: RouteState | undefined): ConditionInput {
  const own = accepted(problems);
  if (own.status === 'False' || state === undefined) return own;
  const all = state.fact.parents.map(({ index }) => parentAccepted(state, index));
  return all.find(({ status }) => status !== 'True') ?? own;
}

function accepted(problems: readonly Problem[]): ConditionInput {
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) {
    return { type: 'Accepted', status: 'False', reason: 'Invalid', message: sentences(errors) };
  }
  if (problems.length > 0) {
    return { type: 'Accepted', status: 'True', reason: 'AcceptedWithWarnings', message: sentences(problems) };
  }
  return { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'All fields are understood.' };
}

export function resolvedRefs(service: ServiceState): ConditionInput {
  const type = 'ResolvedRefs';
  switch (service) {
    case 'found':
      return { type, status: 'True', reason: 'ResolvedRefs', message: 'The Service exists.' };
    case 'absent':
      return {
        type,
        status: 'False',
        reason: 'ServiceNotFound',
        message: 'There is no Service of this name in this namespace; create it, or rename the MeshService.',
      };
    case 'headless':
      return {
        type,
        status: 'False',
        reason: 'ServiceHasNoAddress',
        message: 'The Service has no cluster IP, so there is nothing to balance: clients pick a pod by DNS.',
      };
  }
}

function ready(conditions: readonly ConditionInput[]): ConditionInput {
  const first = conditions.find(({ status }) => status !== 'True');
  if (first === undefined) {
    return { type: 'Ready', status: 'True', reason: 'Ready', message: 'It is in force on all nodes.' };
  }
  return { ...first, type: 'Ready', status: 'False' };
}

/** `pods`: how many are concerned; undefined where it is about nodes and not pods. */
function enforced({ nodes, missing }: Progress, pods: number | undefined): ConditionInput {
  const type = 'Enforced';
  if (pods === 0) {
    const message = 'It selects no pods now; a pod that it selects has it in force before it has a network.';
    return { type, status: 'True', reason: 'SelectsNoPods', message };
  }
  if (missing.length === 0) {
    return { type, status: 'True', reason: 'Enforced', message: 'It is in force on all nodes concerned.' };
  }
  // The gravest comes first, and names the condition.
  const order = ['Error', 'Unreachable', 'Pending'] as const;
  const reason = order.find((why) => missing.some((node) => node.why === why)) ?? 'Pending';
  const parts = order.flatMap((why) => nodeList(why, missing));
  const message = `In force on ${nodes - missing.length} of ${nodes} nodes; ${parts.join('; ')}.`;
  return { type, status: 'False', reason: `Nodes${reason}`, message: message.slice(0, MAX_MESSAGE) };
}

const WORDS = { Error: 'failed on', Unreachable: 'no contact with', Pending: 'not yet on' } as const;

function nodeList(why: Missing['why'], missing: readonly Missing[]): string[] {
  const those = missing.filter((each) => each.why === why);
  if (those.length === 0) return [];
  const named = those
    .slice(0, NAMED_NODES)
    .map(({ node, message }) => (message === '' ? node : `${node} (${message.replace(/\.$/, '')})`));
  const rest = those.length > NAMED_NODES ? ` and ${those.length - NAMED_NODES} more` : '';
  return [`${WORDS[why]} ${named.join(', ')}${rest}`];
}

/** The problems as sentences, each with the field that it is about. */
export function sentences(problems: readonly Problem[]): string {
  return problems.map(sentence).join(' ').slice(0, MAX_MESSAGE);
}

export function sentence({ field, message }: Problem): string {
  return field === '' ? message : `${field}: ${message}`;
}

/** Whether a MeshService's Service is there, with a cluster IP. */
export function serviceState(service: SourceObject | undefined): ServiceState {
  if (service === undefined) return 'absent';
  const spec = 'spec' in service && typeof service.spec === 'object' && service.spec !== null ? service.spec : {};
  const clusterIP = 'clusterIP' in spec ? spec.clusterIP : undefined;
  return typeof clusterIP === 'string' && clusterIP !== '' && clusterIP !== 'None' ? 'found' : 'headless';
}
