/** A request that `weft policy explain` is asked about, and which rules of a listener fit it. */
import type { HttpMatch } from '@weft/node-api';
import { type HttpRequest, matchesHttp } from '../../reconcilers/http/match.ts';
import { UsageError } from '../errors.ts';
import { type RuleRef, ruleText } from '../flows/line.ts';
export type HttpRule = RuleRef & { readonly matches: readonly HttpMatch[] };

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** @throws UsageError where no client could send it */
export function parseRequest(
  method: string | undefined,
  path: string | undefined,
  { host = '', header = [] }: { readonly host?: string | undefined; readonly header?: readonly string[] | undefined },
): HttpRequest | undefined {
  if (method === undefined) {
    if (host === '' && header.length === 0) return undefined;
    throw new UsageError('--host and --header are about a request: name its METHOD and PATH, too');
  }
  if (path === undefined) throw new UsageError(`${method} of which path? Write for example ${method} /api/v1/users`);
  if (!TOKEN.test(method)) throw new UsageError(`${JSON.stringify(method)} is no method as GET or POST`);
  const { host: inHeader = '', ...headers } = headersOf(header);
  if (host !== '' && inHeader !== '') throw new UsageError('--host and --header both name the host: leave one out');
  return { method, path: normalisePath(path), host: host || inHeader, headers };
}

function headersOf(given: readonly string[]): Record<string, string> {
  const headers = new Map<string, string>();
  for (const text of given) {
    const [, name = '', value = ''] = /^([^:]+):[ \t]*(.*?)[ \t]*$/.exec(text) ?? [];
    if (!TOKEN.test(name)) throw new UsageError(`${JSON.stringify(text)} is no header as 'X-Version: 2'`);
    const key = name.toLowerCase();
    const before = headers.get(key);
    // What Envoy compares where a header comes twice.
    headers.set(key, before === undefined ? value : `${before},${value}`);
  }
  return Object.fromEntries(headers);
}

/**
 * What Envoy 1.40 makes of a path before any rule sees it: dot segments lose their parameters, escapes are undone or
 * made, dot segments resolved, several slashes are one; the query stays as it is.
 */
export function normalisePath(text: string): string {
  const wrong = (why: string) => new UsageError(`the path ${JSON.stringify(text)} ${why}`);
  if (!text.startsWith('/')) throw wrong('does not begin with a slash');
  if (!/^[\x21-\x7e]*$/.test(text)) throw wrong('has characters that no request line can have: write them as %XX');
  if (text.includes('#')) throw wrong('has a fragment, which clients do not send and Envoy refuses');
  const question = text.indexOf('?');
  const path = question < 0 ? text : text.slice(0, question);
  const query = question < 0 ? '' : text.slice(question);
  if (/%(?![0-9a-f]{2})/i.test(path)) throw wrong('has a % that begins no escape: write it as %25');
  if (/%2f|%5c/i.test(path))
    throw wrong('has an escaped slash, whose meaning is not the same to all: Envoy refuses it');
  // Before escapes are undone: in %2e%2e;x the parameter stays.
  const bare = path.replaceAll(/(?<=\/)(\.\.?);[^/]*/g, '$1');
  if (bare.includes('%00')) throw wrong('has %00: Envoy refuses it');
  const plain = bare
    .replaceAll('\\', '/')
    .replaceAll(/%([0-9a-f]{2})/gi, (code, digits: string) => {
      const char = String.fromCharCode(Number.parseInt(digits, 16));
      return /[A-Za-z0-9._~-]/.test(char) ? char : code;
    })
    .replaceAll(/["<>^`{|}]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  return withOneSlash(withoutDots(plain)) + query;
}

/** Nothing but slashes becomes two. */
const withOneSlash = (path: string): string => (/^\/\/+$/.test(path) ? '//' : path.replaceAll(/\/{2,}/g, '/'));

function withoutDots(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/').slice(1);
  for (const [at, segment] of segments.entries()) {
    const isLast = at === segments.length - 1;
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
    if (isLast && (segment === '.' || segment === '..')) kept.push('');
  }
  return `/${kept.join('/')}`;
}

/** The first rule that allows the request. @throws UsageError where a rule asks for what was not told */
export function allowingRule(rules: readonly HttpRule[], request: HttpRequest): HttpRule | undefined {
  const needsHost = rules.find(({ matches }) =>
    matches.some(({ host, headers }) => host !== '' || headers.some(({ name }) => name === 'host')),
  );
  if (needsHost !== undefined && request.host === '') {
    throw new UsageError(`${ruleText(needsHost)} looks at the host: say which with --host`);
  }
  return rules.find(({ matches }) => matches.some((match) => matchesHttp(match, request)));
}

/** "GET /api/v1/.*, host api, X-Version: 2" */
export function matchText({ method, path, host, headers }: HttpMatch): string {
  const more = headers.map(
    ({ name, value, mismatch }) =>
      `header ${name}${value === undefined ? '' : `: ${value}`}${mismatch === '' ? '' : ` (else ${mismatch})`}`,
  );
  const line = `${method || 'any method'} ${path || 'any path'}`;
  return [line, ...(host === '' ? [] : [`host ${host}`]), ...more].join(', ');
}
