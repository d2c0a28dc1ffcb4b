/** Whether a request matches a rule, as Envoy reads the routes that are made of it (`../envoy/routes.ts`). */
import { RE2JS } from 're2js';

/** As in facts and in what nodes are told: '' is not set. */
export interface HttpPattern {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers: readonly {
    readonly name: string;
    readonly value?: string | undefined;
    readonly mismatch: string;
  }[];
}

export interface HttpRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly host: string;
  /** By name in lower case; several values of one name are joined by a comma. */
  readonly headers: Readonly<Record<string, string>>;
}

/** @throws RE2JSException where a pattern is no regular expression, which translators refuse */
export function matchesHttp(match: HttpPattern, request: HttpRequest): boolean {
  // Several Hosts, which Envoy joins, and parameters of dot segments are refused first of all.
  if (request.host.includes(',') || /^[^?]*\/\.\.?(;|%3b)/i.test(request.path)) return false;
  return (
    matchesWhole(match.method, request.method) &&
    matchesWhole(match.path, request.path) &&
    matchesWhole(match.host, request.host) &&
    match.headers.every(({ name, value, mismatch }) => mismatch !== '' || matchesHeader(name, value, request))
  );
}

function matchesHeader(name: string, value: string | undefined, { host, headers }: HttpRequest): boolean {
  const found = name === 'host' ? host : Object.hasOwn(headers, name) ? headers[name] : undefined;
  return value === undefined ? found !== undefined : found === value;
}

function matchesWhole(pattern: string, value: string): boolean {
  return pattern === '' || compiled(pattern).matches(value);
}

const MOST = 1024;
const cache = new Map<string, RE2JS>();

function compiled(pattern: string): RE2JS {
  let expression = cache.get(pattern);
  if (expression === undefined) {
    expression = RE2JS.compile(pattern);
    if (cache.size >= MOST) cache.clear();
    cache.set(pattern, expression);
  }
  return expression;
}
