import type { RouteFact, RouteMatch, RouteRule } from '../facts.ts';

/** One match of one rule, with the route that it is of. */
export interface RouteEntry {
  readonly route: RouteFact;
  readonly rule: RouteRule;
  readonly match: RouteMatch;
}

/**
 * Matches of all routes of a Service port, the first that fits a request decides. The Gateway API's order: the more
 * specific host, exact path, longest path, a method, more headers, more query parameters; then the older route, the
 * first by name, and within one route as written. Regular expressions come between exact paths and prefixes.
 */
export function inOrder(routes: Iterable<RouteFact>): RouteEntry[] {
  const entries = [...routes]
    .sort(olderFirst)
    .flatMap((route) => route.rules.flatMap((rule) => rule.matches.map((match) => ({ route, rule, match }))));
  const ranked = entries.map((entry) => ({ entry, rank: rankOf(entry.match) }));
  // A stable sort: what ranks alike stays as it is.
  return ranked.sort((a, b) => compare(b.rank, a.rank)).map(({ entry }) => entry);
}

function olderFirst(a: RouteFact, b: RouteFact): number {
  const [left, right] = [a, b].map(({ created, namespace, name, routeKind }) => {
    // One without a time is not stored yet, so it is the youngest.
    const time = created === '' ? Number.POSITIVE_INFINITY : Date.parse(created);
    return { time, name: `${namespace}/${name}/${routeKind}` };
  });
  if (left === undefined || right === undefined) return 0;
  if (left.time !== right.time) return left.time < right.time ? -1 : 1;
  return left.name < right.name ? -1 : 1;
}

function rankOf(match: RouteMatch): number[] {
  const host = match.host === undefined ? 0 : match.host.startsWith('*') ? 1 : 2;
  const ofHost = [host, match.host?.length ?? 0];
  return [...ofHost, ...pathRank(match), match.method === undefined ? 0 : 1, match.headers.length, match.query.length];
}

const EXACT = 2;
const EXPRESSION = 1;
const PREFIX = 0;

function pathRank({ path, grpc }: RouteMatch): [kind: number, first: number, second: number] {
  if (grpc !== undefined) {
    const [service, method] = [grpc.service?.length ?? 0, grpc.method?.length ?? 0];
    if (grpc.type === 'RegularExpression') return [EXPRESSION, service, method];
    return [service > 0 && method > 0 ? EXACT : PREFIX, service, method];
  }
  const value = path?.value ?? '';
  switch (path?.type) {
    case 'Exact':
      return [EXACT, value.length, 0];
    case 'RegularExpression':
      return [EXPRESSION, value.length, 0];
    default:
      return [PREFIX, withoutEnd(value).length, 0];
  }
}

/** A prefix without slashes at its end: "/a/" is "/a", and '' matches all. */
export function withoutEnd(prefix: string): string {
  return prefix.replace(/\/+$/, '');
}

function compare(a: readonly number[], b: readonly number[]): number {
  const index = a.findIndex((value, n) => value !== b[n]);
  return index < 0 ? 0 : (a[index] ?? 0) - (b[index] ?? 0);
}
