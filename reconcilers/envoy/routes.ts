import { HeaderValueOption_HeaderAppendAction as Append } from '@envoyproxy/xds-protos/envoy/config/core/v3/base.ts';
import { RouteConfiguration } from '@envoyproxy/xds-protos/envoy/config/route/v3/route.ts';
import type { Route } from '@envoyproxy/xds-protos/envoy/config/route/v3/route_components.ts';
import type { HeaderMatch, HttpMatch } from '../facts.ts';
import { DENIED, ORIGIN } from './names.ts';
import { serialize } from './pack.ts';

/** A rule behind a listener. */
export interface RoutedRule {
  /** Its routes'. */
  readonly name: string;
  /** Key of its policy. */
  readonly policy: string;
  readonly http: readonly HttpMatch[];
}

const PARAMETER_OF_DOTS = String.raw`[^?]*/\.\.?(;|%3[bB]).*`;

type PartialRoute = Parameters<typeof Route.fromPartial>[0];
type Matcher = NonNullable<NonNullable<PartialRoute['match']>['headers']>[number];
type Addition = NonNullable<PartialRoute['requestHeadersToAdd']>[number];

/** The first route that matches a request decides; what none of the rules allows is refused. */
export function routeConfiguration(name: string, rules: readonly RoutedRule[]): Buffer {
  const allowed = rules.flatMap((rule) =>
    rule.http.flatMap((match) => routesOf(match).map((route) => passOn(rule.name, route))),
  );
  return serialize(RouteConfiguration, {
    name,
    virtualHosts: [{ name: 'all', domains: ['*'], routes: [...ambiguous, ...allowed, ...refusals()] }],
  });
}

/** Characters of all rules behind one listener, ADD and DELETE counted as often as there are routes for them. */
const MOST = 4 << 20;

/** The rules that one listener can hold, and those beyond that, which allow nothing. */
export function fitting(rules: readonly RoutedRule[]): { readonly held: RoutedRule[]; readonly left: RoutedRule[] } {
  let room = MOST;
  const held: RoutedRule[] = [];
  const left: RoutedRule[] = [];
  for (const rule of rules) {
    const size = rule.http.reduce((sum, match) => sum + sizeOf(match), 0);
    if (size > room) {
      left.push(rule);
      continue;
    }
    held.push(rule);
    room -= size;
  }
  return { held, left };
}

function sizeOf(match: HttpMatch): number {
  const doubled = match.headers.filter(({ mismatch }) => mismatch === 'ADD' || mismatch === 'DELETE').length;
  return 2 ** doubled * (200 + JSON.stringify(match).length);
}

/** A request with one set of headers, and what is done to them. */
interface Variant {
  readonly matchers: readonly Matcher[];
  readonly add: readonly Addition[];
  readonly remove: readonly string[];
}

function routesOf(match: HttpMatch): Variant[] {
  const matchers = [
    ...expression(':method', match.method),
    ...expression(':path', match.path),
    ...expression(':authority', match.host),
  ];
  let variants: Variant[] = [{ matchers, add: [], remove: [] }];
  for (const header of match.headers) {
    const ways = waysOf(header);
    variants = variants.flatMap((variant) => ways.map((way) => join(variant, way)));
  }
  return variants;
}

function join(a: Variant, b: Variant): Variant {
  return {
    matchers: [...a.matchers, ...b.matchers],
    add: [...a.add, ...b.add],
    remove: [...a.remove, ...b.remove],
  };
}

/** How a header may be for the request to pass, the first that fits. */
function waysOf({ name, value, mismatch }: HeaderMatch): Variant[] {
  const fits: Variant = { matchers: [value === undefined ? present(name) : exact(name, value)], add: [], remove: [] };
  const any: Variant = { matchers: [], add: [], remove: [] };
  switch (mismatch) {
    case '':
      return [fits];
    case 'LOG':
      return [any];
    case 'REPLACE':
      return [{ ...any, add: [set(name, value ?? '', Append.OVERWRITE_IF_EXISTS_OR_ADD)] }];
    case 'ADD':
      return [fits, { ...any, add: [set(name, value ?? '', Append.APPEND_IF_EXISTS_OR_ADD)] }];
    case 'DELETE':
      return [fits, { ...any, remove: [name] }];
  }
}

function expression(name: string, regex: string): Matcher[] {
  if (regex === '') return [];
  const safeRegex = { regex };
  const stringMatch = { matchPattern: { $case: 'safeRegex' as const, value: safeRegex } };
  return [{ name, headerMatchSpecifier: { $case: 'stringMatch', value: stringMatch } }];
}

function exact(name: string, value: string): Matcher {
  const stringMatch = { matchPattern: { $case: 'exact' as const, value } };
  return { name, headerMatchSpecifier: { $case: 'stringMatch', value: stringMatch } };
}

function present(name: string): Matcher {
  return { name, headerMatchSpecifier: { $case: 'presentMatch', value: true } };
}

/** Envoy reads % as the begin of a command. */
function set(key: string, value: string, appendAction: Addition['appendAction'] & number): Addition {
  return { header: { key, value: value.replaceAll('%', '%%') }, appendAction, keepEmptyValue: true };
}

function passOn(name: string, { matchers, add, remove }: Variant): PartialRoute {
  return {
    name,
    match: { pathSpecifier: { $case: 'prefix', value: '' }, headers: [...matchers] },
    requestHeadersToAdd: [...add],
    requestHeadersToRemove: [...remove],
    action: {
      $case: 'route',
      value: {
        clusterSpecifier: { $case: 'cluster', value: ORIGIN },
        timeout: { seconds: 0n, nanos: 0 },
      },
    },
  };
}

const refuse: PartialRoute['action'] = {
  $case: 'directResponse',
  value: { status: 403, body: { specifier: { $case: 'inlineString', value: 'Access denied\r\n' } } },
};

/** What servers read in different ways, whatever a rule says; `matchesHttp` refuses the same. */
const ambiguous: readonly PartialRoute[] = [
  // Envoy joins several Hosts with a comma, which none can contain: who knows which of them the server would take.
  {
    name: ':authority',
    headerMatchSpecifier: {
      $case: 'stringMatch' as const,
      value: { matchPattern: { $case: 'contains' as const, value: ',' } },
    },
  },
  // "/..;x/": Envoy leaves it, and servers that drop parameters of a path's segments (Tomcat) go up.
  ...expression(':path', PARAMETER_OF_DOTS),
].map((header) => ({
  name: DENIED,
  match: { pathSpecifier: { $case: 'prefix', value: '' }, headers: [header] },
  action: refuse,
}));

/** CONNECT has no path, so that it takes a route of its own. */
function refusals(): PartialRoute[] {
  return [
    { name: DENIED, match: { pathSpecifier: { $case: 'prefix', value: '' } }, action: refuse },
    { name: DENIED, match: { pathSpecifier: { $case: 'connectMatcher', value: {} } }, action: refuse },
  ];
}
