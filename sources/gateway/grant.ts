import type {
  Fact,
  ReferenceGrantFact,
  RouteBackend,
  RouteFact,
  RouteFilter,
  RouteKind,
} from '../../reconcilers/facts.ts';
import { get, list, type Problems, text } from '../parse.ts';

/** ReferenceGrant of gateway.networking.k8s.io/v1beta1, as far as it is about routes to Services. */
export function referenceGrantFacts(object: unknown, _problems: Problems): Fact[] {
  const from = list(get(object, 'spec', 'from')).flatMap((entry) => {
    const routeKind = routeKindOf(entry);
    const namespace = text(get(entry, 'namespace'));
    return routeKind === undefined || namespace === '' ? [] : [{ routeKind, namespace }];
  });
  const to = list(get(object, 'spec', 'to')).filter(
    (entry) => get(entry, 'group') === '' && get(entry, 'kind') === 'Service',
  );
  const names = to.map((entry) => get(entry, 'name') ?? '').filter((name) => typeof name === 'string');
  if (from.length === 0 || names.length === 0) return [];
  const { namespace, name } = {
    namespace: text(get(object, 'metadata', 'namespace')),
    name: text(get(object, 'metadata', 'name')),
  };
  return [{ kind: 'referenceGrant', namespace, name, from, services: [...new Set(names)].sort() }];
}

const GROUPS = {
  HTTPRoute: 'gateway.networking.k8s.io',
  GRPCRoute: 'gateway.networking.k8s.io',
  L7Route: 'weft.dev',
} as const;

function routeKindOf(entry: unknown): RouteKind | undefined {
  const kind = (['HTTPRoute', 'GRPCRoute', 'L7Route'] as const).find((known) => known === get(entry, 'kind'));
  return kind !== undefined && get(entry, 'group') === GROUPS[kind] ? kind : undefined;
}

/** What `permit` asks: the grants of a namespace. */
export type GrantsOf = (namespace: string) => Iterable<ReferenceGrantFact>;

/** The route with those references to other namespaces permitted that a grant permits. */
export function permit(route: RouteFact, grantsOf: GrantsOf): RouteFact {
  if (foreignNamespaces(route).size === 0) return route;
  const isNow = (backend: Pick<RouteBackend, 'namespace' | 'service' | 'refused'>): boolean =>
    backend.refused?.reason === 'RefNotPermitted' && isPermitted(route, backend, grantsOf);
  const permittedBackend = (backend: RouteBackend): RouteBackend => {
    const { refused: _, ...rest } = backend;
    return isNow(backend) ? rest : backend;
  };
  const permittedFilter = (filter: RouteFilter): RouteFilter => {
    if (filter.kind !== 'mirror' || !isNow(filter.backend)) return filter;
    const { refused: _, ...backend } = filter.backend;
    return { ...filter, backend };
  };
  return {
    ...route,
    rules: route.rules.map((rule) => ({
      ...rule,
      filters: rule.filters.map(permittedFilter),
      backends: rule.backends.map(permittedBackend),
    })),
  };
}

function isPermitted(route: RouteFact, to: Pick<RouteBackend, 'namespace' | 'service'>, grantsOf: GrantsOf): boolean {
  for (const { from, services } of grantsOf(to.namespace)) {
    const ours = from.some((one) => one.routeKind === route.routeKind && one.namespace === route.namespace);
    if (ours && (services.includes('') || services.includes(to.service))) return true;
  }
  return false;
}

/** Other namespaces that the route refers to. */
export function foreignNamespaces({ rules, namespace }: RouteFact): Set<string> {
  const found = new Set<string>();
  for (const { backends, filters } of rules) {
    const mirrors = filters.flatMap((filter) => (filter.kind === 'mirror' ? [filter.backend] : []));
    for (const backend of [...backends, ...mirrors]) if (backend.namespace !== namespace) found.add(backend.namespace);
  }
  return found;
}
