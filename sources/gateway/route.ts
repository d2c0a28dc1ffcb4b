import type {
  Fact,
  Problem,
  RouteBackend,
  RouteFilter,
  RouteKind,
  RouteMatch,
  RouteRule,
} from '../../reconcilers/facts.ts';
import { get, integer, type Problems, text, timestamp } from '../parse.ts';
import { backendTarget, type Referrer } from './backend.ts';
import { checkTogether, type FilterType, routeFilter } from './filter.ts';
import { grpcMatch, httpMatch } from './match.ts';
import { type Attachment, serviceParents } from './parents.ts';
import { boundedMilliseconds, entriesOf, errorsIn, fieldsOf, milliseconds, numberOf } from './read.ts';

/** So many an API server takes of a HTTPRoute or a GRPCRoute. */
const most = { rules: 16, matches: 64, filters: 16, backends: 16, codes: 16 } as const;

/** HTTPRoute of gateway.networking.k8s.io/v1. Host names are not looked at: the Service says whose requests they are. */
export function httpRouteFacts(object: unknown, problems: Problems): Fact[] {
  return gatewayRoute('HTTPRoute', object, problems, httpRule);
}

/** GRPCRoute of gateway.networking.k8s.io/v1. */
export function grpcRouteFacts(object: unknown, problems: Problems): Fact[] {
  return gatewayRoute('GRPCRoute', object, problems, grpcRule);
}

type RuleReader = (value: unknown, index: number, field: string, from: Referrer, problems: Problems) => RouteRule;

function gatewayRoute(routeKind: RouteKind, object: unknown, problems: Problems, read: RuleReader): Fact[] {
  const namespace = text(get(object, 'metadata', 'namespace'));
  const spec = get(object, 'spec');
  const attachment = serviceParents(get(spec, 'parentRefs'), namespace, problems);
  if (attachment.parents.length + attachment.refused.length === 0) return [];
  return routeFact(routeKind, object, attachment, problems, () => {
    fieldsOf(spec, 'spec', ['parentRefs', 'hostnames', 'rules'], problems);
    // The API server fills this in for a HTTPRoute.
    const rules = get(spec, 'rules') ?? (routeKind === 'HTTPRoute' ? [{}] : []);
    const from = { routeKind, namespace };
    return entriesOf(rules, 'spec.rules', most.rules, problems).map((rule, index) =>
      read(rule, index, `spec.rules[${index}]`, from, problems),
    );
  });
}

/** A route of which a rule is not understood is attached to nothing: half of it could send requests astray. */
export function routeFact(
  routeKind: RouteKind,
  object: unknown,
  attachment: Attachment,
  problems: Problems,
  readRules: () => RouteRule[],
): Fact[] {
  const before = problems.list.length;
  const rules = readRules();
  const understood = errorsIn(problems, before) === 0;
  const { parents, refused } = understood ? attachment : refuseAll(attachment, problems.list.slice(before));
  return [
    {
      kind: 'route',
      routeKind,
      namespace: text(get(object, 'metadata', 'namespace')),
      name: text(get(object, 'metadata', 'name')),
      generation: integer(get(object, 'metadata', 'generation'), 0, Number.MAX_SAFE_INTEGER, 0),
      created: timestamp(get(object, 'metadata', 'creationTimestamp')),
      parents,
      refused,
      rules: understood ? rules : [],
      problems: problems.list.slice(before),
    },
  ];
}

function refuseAll({ parents, refused }: Attachment, problems: readonly Problem[]): Attachment {
  const errors = problems.filter(({ severity }) => severity === 'error');
  const message = errors.map((problem) => `${problem.field}: ${problem.message}`).join(' ');
  const all = [...refused, ...parents.map(({ index }) => ({ index, reason: 'UnsupportedValue' as const, message }))];
  return { parents: [], refused: all.sort((a, b) => a.index - b.index) };
}

function httpRule(value: unknown, index: number, field: string, from: Referrer, problems: Problems): RouteRule {
  fieldsOf(value, field, ['name', 'matches', 'filters', 'backendRefs', 'timeouts', 'retry'], problems);
  const retry = retryOf(get(value, 'retry'), `${field}.retry`, problems);
  const rule = {
    name: text(get(value, 'name')),
    index,
    matches: matchesOf(get(value, 'matches'), `${field}.matches`, httpMatch, problems),
    filters: filtersOf(get(value, 'filters'), `${field}.filters`, HTTP_FILTERS, from, problems),
    backends: backendsOf(get(value, 'backendRefs'), `${field}.backendRefs`, from, problems),
    timeouts: timeoutsOf(get(value, 'timeouts'), `${field}.timeouts`, problems),
    ...(retry === undefined ? {} : { retry }),
  };
  checkTogether(rule, allPrefixes(rule.matches), field, problems);
  return rule;
}

function grpcRule(value: unknown, index: number, field: string, from: Referrer, problems: Problems): RouteRule {
  fieldsOf(value, field, ['name', 'matches', 'filters', 'backendRefs'], problems);
  const rule = {
    name: text(get(value, 'name')),
    index,
    matches: matchesOf(get(value, 'matches'), `${field}.matches`, grpcMatch, problems),
    filters: filtersOf(get(value, 'filters'), `${field}.filters`, GRPC_FILTERS, from, problems),
    backends: backendsOf(get(value, 'backendRefs'), `${field}.backendRefs`, from, problems),
    timeouts: {},
  };
  checkTogether(rule, false, field, problems);
  return rule;
}

const HEADER_FILTERS = ['RequestHeaderModifier', 'ResponseHeaderModifier'] as const;
const GRPC_FILTERS = [...HEADER_FILTERS, 'RequestMirror'] as const;
const HTTP_FILTERS = [...GRPC_FILTERS, 'RequestRedirect', 'URLRewrite'] as const;

export function allPrefixes(matches: readonly RouteMatch[]): boolean {
  return matches.every(({ path }) => path?.type === 'PathPrefix');
}

type MatchReader = (value: unknown, field: string, problems: Problems) => RouteMatch;

/** None is one that matches all. */
export function matchesOf(value: unknown, field: string, read: MatchReader, problems: Problems): RouteMatch[] {
  const written = entriesOf(value, field, most.matches, problems);
  return (written.length === 0 ? [{}] : written).map((match, index) => read(match, `${field}[${index}]`, problems));
}

function filtersOf(
  value: unknown,
  field: string,
  types: readonly FilterType[],
  from: Referrer,
  problems: Problems,
): RouteFilter[] {
  return entriesOf(value, field, most.filters, problems).flatMap((filter, index) =>
    routeFilter(filter, `${field}[${index}]`, types, from, problems),
  );
}

/** A backend changes headers only: what else filters can do depends on the rule. */
function backendsOf(value: unknown, field: string, from: Referrer, problems: Problems): RouteBackend[] {
  return entriesOf(value, field, most.backends, problems).map((entry, index) => {
    const where = `${field}[${index}]`;
    return {
      ...backendTarget(entry, where, ['weight', 'filters'], from, problems),
      weight: numberOf(get(entry, 'weight'), [0, 1_000_000], 1, `${where}.weight`, problems),
      filters: filtersOf(get(entry, 'filters'), `${where}.filters`, HEADER_FILTERS, from, problems),
    };
  });
}

function timeoutsOf(value: unknown, field: string, problems: Problems): RouteRule['timeouts'] {
  if (value === undefined) return {};
  fieldsOf(value, field, ['request', 'backendRequest'], problems);
  const request = milliseconds(get(value, 'request'), `${field}.request`, problems);
  const perTry = milliseconds(get(value, 'backendRequest'), `${field}.backendRequest`, problems);
  return timeouts({ request, perTry }, field, problems);
}

interface Timeouts {
  readonly request?: number | undefined;
  readonly perTry?: number | undefined;
  readonly idle?: number | undefined;
}

export function timeouts(
  { request, perTry, idle }: Timeouts,
  field: string,
  problems: Problems,
): RouteRule['timeouts'] {
  if (request !== undefined && perTry !== undefined && request > 0 && perTry > request) {
    problems.error(field, 'The time for one try is longer than that for the whole request.');
  }
  return {
    ...(request === undefined ? {} : { request }),
    ...(perTry === undefined ? {} : { perTry }),
    ...(idle === undefined ? {} : { idle }),
  };
}

/** HTTPRouteRetry of the experimental channel, which has these names in L7Route too. */
export function retryOf(value: unknown, field: string, problems: Problems): RouteRule['retry'] {
  if (value === undefined) return undefined;
  fieldsOf(value, field, ['attempts', 'backoff', 'codes'], problems);
  return {
    attempts: numberOf(get(value, 'attempts'), [1, 10], 1, `${field}.attempts`, problems),
    backoffMs: boundedMilliseconds(get(value, 'backoff'), [1, 60_000], 25, `${field}.backoff`, problems),
    codes: entriesOf(get(value, 'codes'), `${field}.codes`, most.codes, problems).map((code, index) =>
      numberOf(code, [400, 599], 503, `${field}.codes[${index}]`, problems),
    ),
  };
}
