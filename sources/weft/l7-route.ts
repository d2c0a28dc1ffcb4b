import type { Fact, PathChange, RouteBackend, RouteFilter, RouteMatch, RouteRule } from '../../reconcilers/facts.ts';
import { backendTarget, type Referrer } from '../gateway/backend.ts';
import { checkTogether, headerFilter, pathChange, redirect, rewrite } from '../gateway/filter.ts';
import { grpcMethod, headersOf, methodOf, pathOf, queryOf, spend } from '../gateway/match.ts';
import type { Attachment } from '../gateway/parents.ts';
import {
  boundedMilliseconds,
  entriesOf,
  fieldsOf,
  hostOf,
  milliseconds,
  numberOf,
  oneOf,
  perMillion,
} from '../gateway/read.ts';
import { allPrefixes, matchesOf, retryOf, routeFact, timeouts } from '../gateway/route.ts';
import { flag, get, type Problems, text } from '../parse.ts';

const RULE = [
  'name',
  'matches',
  'backends',
  'redirect',
  'rewrite',
  'requestHeaders',
  'responseHeaders',
  'mirror',
  'timeouts',
  'retries',
  'fault',
  'rateLimit',
];
const NAMED = ['Exact', 'RegularExpression', 'Present'] as const;
const CHANGES = ['ReplaceFullPath', 'ReplacePrefixMatch'] as const;
/** Envoy refills a bucket every 50 ms at most; in milliseconds. */
const INTERVALS = [50, 86_400_000] as const;
const most = { parents: 16, rules: 16, backends: 16 } as const;

/** For the Services of its namespace that `parentRefs` names. */
export function l7RouteFacts(object: unknown, problems: Problems): Fact[] {
  const namespace = text(get(object, 'metadata', 'namespace'));
  const spec = get(object, 'spec');
  return routeFact('L7Route', object, parentsOf(get(spec, 'parentRefs'), namespace, problems), problems, () => {
    fieldsOf(spec, 'spec', ['parentRefs', 'rules'], problems);
    const from: Referrer = { routeKind: 'L7Route', namespace };
    return entriesOf(get(spec, 'rules'), 'spec.rules', most.rules, problems).map((rule, index) =>
      ruleOf(rule, index, `spec.rules[${index}]`, from, problems),
    );
  });
}

function parentsOf(value: unknown, namespace: string, problems: Problems): Attachment {
  const parents: Attachment['parents'][number][] = [];
  const refused: Attachment['refused'][number][] = [];
  for (const [index, ref] of entriesOf(value, 'spec.parentRefs', most.parents, problems).entries()) {
    const field = `spec.parentRefs[${index}]`;
    const before = problems.list.length;
    fieldsOf(ref, field, ['name', 'port'], problems);
    const service = text(get(ref, 'name'));
    if (service === '') problems.error(`${field}.name`, 'A parent has the name of a Service.');
    const number = get(ref, 'port');
    const port = number === undefined ? undefined : numberOf(number, [1, 65_535], 0, `${field}.port`, problems);
    const wrong = problems.list.slice(before).map(({ message }) => message);
    if (wrong.length === 0) parents.push({ index, namespace, service, port });
    else refused.push({ index, reason: 'UnsupportedValue', message: wrong.join(' ') });
  }
  return { parents, refused };
}

function ruleOf(value: unknown, index: number, field: string, from: Referrer, problems: Problems): RouteRule {
  fieldsOf(value, field, RULE, problems);
  const retry = retryOf(get(value, 'retries'), `${field}.retries`, problems);
  const rule: RouteRule = {
    name: text(get(value, 'name')),
    index,
    matches: matchesOf(get(value, 'matches'), `${field}.matches`, matchOf, problems),
    filters: filtersOf(value, field, from, problems),
    backends: entriesOf(get(value, 'backends'), `${field}.backends`, most.backends, problems).map((backend, place) =>
      backendOf(backend, `${field}.backends[${place}]`, from, problems),
    ),
    timeouts: timeoutsOf(get(value, 'timeouts'), `${field}.timeouts`, problems),
    ...(retry === undefined ? {} : { retry }),
  };
  checkTogether(rule, allPrefixes(rule.matches), field, problems);
  const redirects = rule.filters.some(({ kind }) => kind === 'redirect');
  if (!redirects && rule.backends.length === 0) problems.error(field, 'A rule has either backends or redirect.');
  return rule;
}

function matchOf(value: unknown, field: string, problems: Problems): RouteMatch {
  spend(value, field, problems);
  fieldsOf(value, field, ['host', 'path', 'method', 'headers', 'query', 'grpc'], problems);
  const host = hostOf(get(value, 'host'), `${field}.host`, problems);
  const method = methodOf(get(value, 'method'), `${field}.method`, problems);
  const grpc = get(value, 'grpc');
  const path = get(value, 'path') ?? (grpc === undefined ? {} : undefined);
  if (grpc !== undefined && (path !== undefined || method !== undefined)) {
    problems.error(field, 'grpc stands for path and method; remove them, or grpc.');
  }
  return {
    ...(path === undefined ? {} : { path: pathOf(path, `${field}.path`, problems) }),
    ...(method === undefined ? {} : { method }),
    ...(host === undefined ? {} : { host }),
    headers: headersOf(get(value, 'headers'), `${field}.headers`, NAMED, problems),
    query: queryOf(get(value, 'query'), `${field}.query`, NAMED, problems),
    ...(grpc === undefined ? {} : { grpc: grpcMethod(grpc, `${field}.grpc`, problems) }),
  };
}

function backendOf(value: unknown, field: string, from: Referrer, problems: Problems): RouteBackend {
  return {
    ...backendTarget(value, field, ['weight', 'requestHeaders', 'responseHeaders'], from, problems),
    weight: numberOf(get(value, 'weight'), [0, 1_000_000], 1, `${field}.weight`, problems),
    filters: headerFilters(value, field, problems),
  };
}

function headerFilters(value: unknown, field: string, problems: Problems): RouteFilter[] {
  return (['requestHeaders', 'responseHeaders'] as const).flatMap((kind) => {
    const change = get(value, kind);
    return change === undefined ? [] : [headerFilter(kind, change, `${field}.${kind}`, problems)];
  });
}

type FilterReader = (value: unknown, field: string, problems: Problems) => RouteFilter;

function filtersOf(value: unknown, field: string, from: Referrer, problems: Problems): RouteFilter[] {
  const readers: Readonly<Record<string, FilterReader>> = {
    rateLimit,
    fault,
    redirect: (settings, where) => redirect(settings, where, pathOfChange, problems),
    rewrite: (settings, where) => rewrite(settings, where, pathOfChange, problems),
    mirror: (settings, where) => ({
      kind: 'mirror',
      backend: backendTarget(settings, where, ['percent'], from, problems),
      perMillion: perMillion(get(settings, 'percent'), `${where}.percent`, problems),
    }),
  };
  const others = Object.entries(readers).flatMap(([name, read]) => {
    const settings = get(value, name);
    return settings === undefined ? [] : [read(settings, `${field}.${name}`, problems)];
  });
  return [...others, ...headerFilters(value, field, problems)];
}

function pathOfChange(value: unknown, field: string, problems: Problems): PathChange {
  fieldsOf(value, field, ['type', 'value'], problems);
  const type = oneOf(get(value, 'type'), CHANGES, 'ReplaceFullPath', `${field}.type`, problems);
  return pathChange(type, get(value, 'value'), `${field}.value`, problems);
}

function fault(value: unknown, field: string, problems: Problems): RouteFilter {
  fieldsOf(value, field, ['delay', 'abort'], problems);
  const delay = get(value, 'delay');
  const abort = get(value, 'abort');
  if (delay === undefined && abort === undefined) problems.error(field, 'A fault has delay, abort or both.');
  if (delay !== undefined) fieldsOf(delay, `${field}.delay`, ['duration', 'percent'], problems);
  if (abort !== undefined) fieldsOf(abort, `${field}.abort`, ['status', 'percent'], problems);
  const delayMs = milliseconds(get(delay, 'duration'), `${field}.delay.duration`, problems) ?? 0;
  if (delay !== undefined && delayMs === 0) problems.error(`${field}.delay.duration`, 'A delay takes some time.');
  const status = abort === undefined ? undefined : (get(abort, 'status') ?? null);
  return {
    kind: 'fault',
    delayMs,
    delayPerMillion: delay === undefined ? 0 : perMillion(get(delay, 'percent'), `${field}.delay.percent`, problems),
    abortStatus: numberOf(status, [200, 599], 0, `${field}.abort.status`, problems),
    abortPerMillion: abort === undefined ? 0 : perMillion(get(abort, 'percent'), `${field}.abort.percent`, problems),
  };
}

function rateLimit(value: unknown, field: string, problems: Problems): RouteFilter {
  fieldsOf(value, field, ['requests', 'interval', 'perClient'], problems);
  return {
    kind: 'rateLimit',
    requests: numberOf(get(value, 'requests') ?? null, [1, 1_000_000], 0, `${field}.requests`, problems),
    perMs: boundedMilliseconds(get(value, 'interval'), INTERVALS, 1000, `${field}.interval`, problems),
    perClient: flag(get(value, 'perClient')),
  };
}

function timeoutsOf(value: unknown, field: string, problems: Problems): RouteRule['timeouts'] {
  if (value === undefined) return {};
  fieldsOf(value, field, ['request', 'perTry', 'idle'], problems);
  const [request, perTry, idle] = ['request', 'perTry', 'idle'].map((name) =>
    milliseconds(get(value, name), `${field}.${name}`, problems),
  );
  return timeouts({ request, perTry, idle }, field, problems);
}
