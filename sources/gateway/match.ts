import type { NamedMatch, RouteMatch } from '../../reconcilers/facts.ts';
import { expression } from '../expression.ts';
import { headerName, headerValue } from '../header.ts';
import { get, type Problems, quote } from '../parse.ts';
import { entriesOf, fieldsOf, oneOf } from './read.ts';

type Path = NonNullable<RouteMatch['path']>;

/** Headers or parameters that one match may name. */
const MOST_NAMES = 16;
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH'];

/** HTTPRouteMatch. */
export function httpMatch(value: unknown, field: string, problems: Problems): RouteMatch {
  spend(value, field, problems);
  fieldsOf(value, field, ['path', 'method', 'headers', 'queryParams'], problems);
  const method = methodOf(get(value, 'method'), `${field}.method`, problems);
  return {
    path: pathOf(get(value, 'path') ?? {}, `${field}.path`, problems),
    ...(method === undefined ? {} : { method }),
    headers: headersOf(get(value, 'headers'), `${field}.headers`, ['Exact', 'RegularExpression'], problems),
    query: queryOf(get(value, 'queryParams'), `${field}.queryParams`, ['Exact', 'RegularExpression'], problems),
  };
}

/** GRPCRouteMatch. */
export function grpcMatch(value: unknown, field: string, problems: Problems): RouteMatch {
  spend(value, field, problems);
  fieldsOf(value, field, ['method', 'headers'], problems);
  const method = get(value, 'method');
  return {
    headers: headersOf(get(value, 'headers'), `${field}.headers`, ['Exact', 'RegularExpression'], problems),
    query: [],
    ...(method === undefined ? {} : { grpc: grpcMethod(method, `${field}.method`, problems) }),
  };
}

/** What Envoy has to hold of one author is bounded. */
export function spend(value: unknown, field: string, problems: Problems): void {
  problems.work.bytes -= 200 + JSON.stringify(value).length;
  if (problems.work.bytes < 0) problems.error(field, 'All matches of the route together are too large; split it.');
}

export function methodOf(value: unknown, field: string, problems: Problems): string | undefined {
  if (value === undefined) return undefined;
  const method = METHODS.find((known) => known === value);
  if (method === undefined) problems.error(field, `${quote(value)} is not one of ${METHODS.join(', ')}.`);
  return method;
}

/** Without the query. A prefix ends at a "/": /a matches /a and /a/b, not /ab. */
export function pathOf(value: unknown, field: string, problems: Problems): Path {
  fieldsOf(value, field, ['type', 'value'], problems);
  const type = oneOf(get(value, 'type'), PATHS, 'PathPrefix', `${field}.type`, problems);
  const written = get(value, 'value') ?? '/';
  if (type === 'RegularExpression') return { type, value: someExpression(written, `${field}.value`, problems) };
  const path = pathText(written, `${field}.value`, problems);
  return { type, value: type === 'PathPrefix' ? path.replace(/(?<=.)\/$/, '') : path };
}

const PATHS = ['Exact', 'PathPrefix', 'RegularExpression'] as const;

/** A path as requests carry it, normalised. */
export function pathText(value: unknown, field: string, problems: Problems): string {
  if (typeof value !== 'string' || value.length > 1024 || !/^\/[!-~]*$/.test(value) || /[?#]/.test(value)) {
    problems.error(field, `${quote(value)} is not a path of printable ASCII that begins with "/" and has no query.`);
    return '/';
  }
  const never =
    ['//', '/./', '/../', '%2f', '%2F'].find((part) => value.includes(part)) ?? /\/\.{1,2}$/.exec(value)?.[0];
  if (never === undefined) return value;
  problems.error(field, `No request has ${quote(never)} in its path after it was normalised.`);
  return '/';
}

/** An expression that is there; matches the whole value. */
export function someExpression(value: unknown, field: string, problems: Problems): string {
  if (value === undefined || value === '') problems.error(field, 'A regular expression is needed here.');
  return expression(value, field, problems);
}

type NameType = NamedMatch['type'];

/** Of several entries for one header only the first counts, as the Gateway API says. */
export function headersOf(value: unknown, field: string, types: readonly NameType[], problems: Problems): NamedMatch[] {
  return uniqueNames(
    entriesOf(value, field, MOST_NAMES, problems).flatMap((entry, index) =>
      named(entry, `${field}[${index}]`, types, headerName, headerValue, problems),
    ),
  );
}

export function queryOf(value: unknown, field: string, types: readonly NameType[], problems: Problems): NamedMatch[] {
  return uniqueNames(
    entriesOf(value, field, MOST_NAMES, problems).flatMap((entry, index) =>
      named(entry, `${field}[${index}]`, types, queryText, queryText, problems),
    ),
  );
}

function queryText(value: unknown, field: string, problems: Problems): string | undefined {
  if (typeof value === 'string' && value.length > 0 && value.length <= 1024 && /^[ -~]+$/.test(value)) return value;
  problems.error(field, `${quote(value)} is not a text of 1 to 1024 printable characters of ASCII.`);
  return undefined;
}

type Reader = (value: unknown, field: string, problems: Problems) => string | undefined;

function named(
  entry: unknown,
  field: string,
  types: readonly NameType[],
  readName: Reader,
  readValue: Reader,
  problems: Problems,
): NamedMatch[] {
  fieldsOf(entry, field, ['name', 'type', 'value'], problems);
  const type = oneOf(get(entry, 'type'), types, 'Exact', `${field}.type`, problems);
  const name = readName(get(entry, 'name'), `${field}.name`, problems);
  if (name === undefined) return [];
  const written = get(entry, 'value');
  switch (type) {
    case 'Present':
      if (written !== undefined) problems.error(`${field}.value`, 'The type Present takes no value.');
      return [{ name, type, value: '' }];
    case 'RegularExpression':
      return [{ name, type, value: someExpression(written, `${field}.value`, problems) }];
    default: {
      const value = readValue(written, `${field}.value`, problems);
      return value === undefined ? [] : [{ name, type, value }];
    }
  }
}

function uniqueNames(matches: readonly NamedMatch[]): NamedMatch[] {
  return matches.filter(({ name }, index) => matches.findIndex((other) => other.name === name) === index);
}

/** GRPCMethodMatch. */
export function grpcMethod(value: unknown, field: string, problems: Problems): NonNullable<RouteMatch['grpc']> {
  fieldsOf(value, field, ['type', 'service', 'method'], problems);
  const type = oneOf(get(value, 'type'), ['Exact', 'RegularExpression'], 'Exact', `${field}.type`, problems);
  const parts = (['service', 'method'] as const).flatMap((part) => {
    const written = get(value, part);
    if (written === undefined) return [];
    const where = `${field}.${part}`;
    const text = type === 'Exact' ? grpcName(written, where, problems) : someExpression(written, where, problems);
    return [[part, text]];
  });
  if (parts.length === 0) problems.error(field, 'A match of gRPC has a service, a method or both.');
  return { type, ...Object.fromEntries(parts) };
}

function grpcName(value: unknown, field: string, problems: Problems): string {
  if (
    typeof value === 'string' &&
    value.length <= 1024 &&
    /^[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_][A-Za-z_0-9]*)*$/.test(value)
  ) {
    return value;
  }
  problems.error(field, `${quote(value)} is not a name as in a .proto file: shop.Cart, AddItem.`);
  return '';
}
