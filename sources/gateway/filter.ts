import type { PathChange, RouteBackend, RouteFilter } from '../../reconcilers/facts.ts';
import { FIXED, headerName, headerValue } from '../header.ts';
import { get, type Problems, quote } from '../parse.ts';
import { backendTarget, type Referrer } from './backend.ts';
import { pathText } from './match.ts';
import { entriesOf, fieldsOf, hostOf, numberOf, oneOf, perMillion } from './read.ts';

const MOST_HEADERS = 16;

/** The field in which a filter of the Gateway API has its settings, by its type. */
const SETTINGS = {
  RequestHeaderModifier: 'requestHeaderModifier',
  ResponseHeaderModifier: 'responseHeaderModifier',
  RequestRedirect: 'requestRedirect',
  URLRewrite: 'urlRewrite',
  RequestMirror: 'requestMirror',
} as const;
export type FilterType = keyof typeof SETTINGS;

/** HTTPRouteFilter or GRPCRouteFilter; a type that is not in `types` is refused. */
export function routeFilter(
  value: unknown,
  field: string,
  types: readonly FilterType[],
  from: Referrer,
  problems: Problems,
): RouteFilter[] {
  const type = types.find((known) => known === get(value, 'type'));
  if (type === undefined) {
    problems.error(
      `${field}.type`,
      `${quote(get(value, 'type'))} is not supported here; there are ${types.join(', ')}.`,
    );
    return [];
  }
  const setting = SETTINGS[type];
  fieldsOf(value, field, ['type', setting], problems);
  const settings = get(value, setting);
  const where = `${field}.${setting}`;
  switch (type) {
    case 'RequestHeaderModifier':
      return [headerFilter('requestHeaders', settings, where, problems)];
    case 'ResponseHeaderModifier':
      return [headerFilter('responseHeaders', settings, where, problems)];
    case 'RequestRedirect':
      return [redirect(settings, where, gatewayPath, problems)];
    case 'URLRewrite':
      return [rewrite(settings, where, gatewayPath, problems)];
    case 'RequestMirror':
      return [mirror(settings, where, from, problems)];
  }
}

export function headerFilter(
  kind: 'requestHeaders' | 'responseHeaders',
  value: unknown,
  field: string,
  problems: Problems,
): RouteFilter {
  fieldsOf(value, field, ['set', 'add', 'remove'], problems);
  return {
    kind,
    set: headerList(get(value, 'set'), `${field}.set`, problems),
    add: headerList(get(value, 'add'), `${field}.add`, problems),
    remove: entriesOf(get(value, 'remove'), `${field}.remove`, MOST_HEADERS, problems).flatMap((entry, index) =>
      changeable(entry, `${field}.remove[${index}]`, problems),
    ),
  };
}

/** Of several entries for one header only the first counts, as the Gateway API says. */
function headerList(value: unknown, field: string, problems: Problems): { name: string; value: string }[] {
  const all = entriesOf(value, field, MOST_HEADERS, problems).flatMap((entry, index) => {
    const where = `${field}[${index}]`;
    fieldsOf(entry, where, ['name', 'value'], problems);
    const [name] = changeable(get(entry, 'name'), `${where}.name`, problems);
    const content = headerValue(get(entry, 'value'), `${where}.value`, problems);
    return name === undefined || content === undefined ? [] : [{ name, value: content }];
  });
  return all.filter(({ name }, index) => all.findIndex((other) => other.name === name) === index);
}

function changeable(value: unknown, field: string, problems: Problems): string[] {
  const name = headerName(value, field, problems);
  if (name === undefined) return [];
  if (!FIXED.has(name)) return [name];
  const how = name === 'host' ? 'rewrite the hostname instead' : 'it says how the request is passed on';
  problems.error(field, `The header ${name} can't be changed; ${how}.`);
  return [];
}

type PathReader = (value: unknown, field: string, problems: Problems) => PathChange;

export function redirect(value: unknown, field: string, readPath: PathReader, problems: Problems): RouteFilter {
  fieldsOf(value, field, ['scheme', 'hostname', 'path', 'port', 'statusCode'], problems);
  const scheme = get(value, 'scheme');
  const port = get(value, 'port');
  return {
    kind: 'redirect',
    ...(scheme === undefined ? {} : { scheme: oneOf(scheme, ['http', 'https'], 'http', `${field}.scheme`, problems) }),
    ...destination(value, field, readPath, problems),
    ...(port === undefined ? {} : { port: numberOf(port, [1, 65_535], 80, `${field}.port`, problems) }),
    status: statusOf(get(value, 'statusCode'), `${field}.statusCode`, problems),
  };
}

const REDIRECTS = [301, 302, 303, 307, 308];

function statusOf(value: unknown, field: string, problems: Problems): number {
  if (value === undefined) return 302;
  const status = REDIRECTS.find((known) => known === value);
  if (status === undefined) problems.error(field, `${quote(value)} is not one of ${REDIRECTS.join(', ')}.`);
  return status ?? 302;
}

export function rewrite(value: unknown, field: string, readPath: PathReader, problems: Problems): RouteFilter {
  fieldsOf(value, field, ['hostname', 'path'], problems);
  return { kind: 'rewrite', ...destination(value, field, readPath, problems) };
}

function destination(
  value: unknown,
  field: string,
  readPath: PathReader,
  problems: Problems,
): { hostname?: string; path?: PathChange } {
  const hostname = hostOf(get(value, 'hostname'), `${field}.hostname`, problems);
  const path = get(value, 'path');
  return {
    ...(hostname === undefined ? {} : { hostname }),
    ...(path === undefined ? {} : { path: readPath(path, `${field}.path`, problems) }),
  };
}

const CHANGES = ['ReplaceFullPath', 'ReplacePrefixMatch'] as const;

/** HTTPPathModifier. */
function gatewayPath(value: unknown, field: string, problems: Problems): PathChange {
  const type = oneOf(get(value, 'type'), CHANGES, 'ReplaceFullPath', `${field}.type`, problems);
  const content = type === 'ReplaceFullPath' ? 'replaceFullPath' : 'replacePrefixMatch';
  fieldsOf(value, field, ['type', content], problems);
  return pathChange(type, get(value, content), `${field}.${content}`, problems);
}

/** A prefix may become nothing. */
export function pathChange(type: PathChange['type'], value: unknown, field: string, problems: Problems): PathChange {
  if (type === 'ReplacePrefixMatch' && (value === undefined || value === '')) return { type, value: '/' };
  return { type, value: pathText(value, field, problems) };
}

/** HTTPRequestMirrorFilter. */
function mirror(value: unknown, field: string, from: Referrer, problems: Problems): RouteFilter {
  fieldsOf(value, field, ['backendRef', 'percent', 'fraction'], problems);
  const backend = backendTarget(get(value, 'backendRef'), `${field}.backendRef`, [], from, problems);
  const fraction = get(value, 'fraction');
  if (fraction === undefined) {
    return { kind: 'mirror', backend, perMillion: perMillion(get(value, 'percent'), `${field}.percent`, problems) };
  }
  const where = `${field}.fraction`;
  fieldsOf(fraction, where, ['numerator', 'denominator'], problems);
  if (get(value, 'percent') !== undefined) problems.error(where, 'There is either percent or fraction.');
  const all = numberOf(get(fraction, 'denominator'), [1, 1_000_000_000], 100, `${where}.denominator`, problems);
  const some = numberOf(get(fraction, 'numerator'), [0, all], 0, `${where}.numerator`, problems);
  return { kind: 'mirror', backend, perMillion: Math.round((some / all) * 1_000_000) };
}

/** What several filters of one rule, or a filter and the rest of it, do not allow. */
export function checkTogether(
  rule: { readonly filters: readonly RouteFilter[]; readonly backends: readonly RouteBackend[] },
  prefixesOnly: boolean,
  field: string,
  problems: Problems,
): void {
  const { filters, backends } = rule;
  const kinds = filters.map(({ kind }) => kind);
  const twice = kinds.find((kind, index) => kind !== 'mirror' && kinds.indexOf(kind) !== index);
  if (twice !== undefined) problems.error(`${field}.filters`, `A rule has only one filter of each type (${twice}).`);
  if (kinds.includes('redirect')) {
    if (kinds.includes('rewrite')) problems.error(`${field}.filters`, 'A request is either redirected or rewritten.');
    if (backends.length > 0) problems.error(field, 'A rule that redirects has no backends.');
  }
  const replaces = filters.some(
    (filter) => (filter.kind === 'redirect' || filter.kind === 'rewrite') && filter.path?.type === 'ReplacePrefixMatch',
  );
  if (replaces && !prefixesOnly) {
    problems.error(field, 'ReplacePrefixMatch needs matches that all have a path of type PathPrefix.');
  }
}
