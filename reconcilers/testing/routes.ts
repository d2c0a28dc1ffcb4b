/** Routes, Services and endpoints as facts, for tests. */
import type { Change } from '../compiler.ts';
import type {
  EndpointsFact,
  Fact,
  NamedPort,
  RouteBackend,
  RouteFact,
  RouteFilter,
  RouteMatch,
  RouteRule,
  ServiceFact,
} from '../facts.ts';
import { address } from './arbitraries.ts';

export function changesOf(facts: readonly Fact[]): Change[] {
  return facts.map((fact, index) => ({ key: `${fact.kind}/${index}`, facts: [fact] }));
}

/** In namespace shop, with one TCP port 80. */
export function serviceFact(name: string, change: Partial<ServiceFact> = {}): ServiceFact {
  return {
    kind: 'service',
    namespace: 'shop',
    name,
    clusterIps: [address('10.96.0.1')],
    externalIps: [],
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 0, appProtocol: '' }],
    affinitySeconds: 0,
    internalLocal: false,
    externalLocal: false,
    ...change,
  };
}

/** One endpoint for each port, all at one address. */
export function endpointsFact(service: string, ports: readonly number[], at = '127.0.0.1'): EndpointsFact[] {
  return ports.map((port, index) => {
    const named: NamedPort = { name: 'http', protocol: 'TCP', port };
    return {
      kind: 'endpoints',
      namespace: 'shop',
      name: `${service}-${index}`,
      service,
      ports: [named],
      endpoints: [{ addresses: [address(at)], node: 'n1', state: 'ready' }],
    };
  });
}

export function match(
  change: Partial<RouteMatch> & { readonly prefix?: string; readonly exact?: string } = {},
): RouteMatch {
  const { prefix, exact, ...rest } = change;
  const path =
    exact === undefined
      ? { type: 'PathPrefix' as const, value: prefix ?? '/' }
      : { type: 'Exact' as const, value: exact };
  return { path, headers: [], query: [], ...rest };
}

export function backend(service: string, change: Partial<RouteBackend> = {}): RouteBackend {
  return { namespace: 'shop', service, port: 80, weight: 1, filters: [], ...change };
}

type PartialRule = Partial<Omit<RouteRule, 'matches'>> & { readonly match?: RouteMatch };

/** Of Service shop/web. */
export function routeFact(name: string, rules: readonly PartialRule[], change: Partial<RouteFact> = {}): RouteFact {
  return {
    kind: 'route',
    routeKind: 'HTTPRoute',
    namespace: 'shop',
    name,
    generation: 1,
    created: '2026-01-01T00:00:00Z',
    parents: [{ index: 0, namespace: 'shop', service: 'web', port: undefined }],
    rules: rules.map(({ match: only = match(), ...rule }, index) => ({
      name: '',
      index,
      matches: [only],
      filters: [],
      backends: [],
      timeouts: {},
      ...rule,
    })),
    problems: [],
    ...change,
  };
}

interface Headers {
  readonly set?: Readonly<Record<string, string>>;
  readonly add?: Readonly<Record<string, string>>;
  readonly remove?: readonly string[];
}

export function headers(
  kind: 'requestHeaders' | 'responseHeaders',
  { set = {}, add = {}, remove = [] }: Headers,
): RouteFilter {
  const list = (record: Readonly<Record<string, string>>) =>
    Object.entries(record).map(([name, value]) => ({ name, value }));
  return { kind, set: list(set), add: list(add), remove };
}
