import { RouteConfiguration } from '@envoyproxy/xds-protos/envoy/config/route/v3/route.ts';
import {
  RouteAction_ClusterNotFoundResponseCode as NotFound,
  RedirectAction_RedirectResponseCode as RedirectCode,
  type Route,
} from '@envoyproxy/xds-protos/envoy/config/route/v3/route_components.ts';
import type { RouteBackend, RouteFilter, RouteMatch, RouteRule } from '../facts.ts';
import type { RouteEntry } from '../routes/order.ts';
import { headerChanges, hostOf } from './header-changes.ts';
import { clientHeader } from './mirror.ts';
import { INVALID, mirrorName, routeRuleName } from './names.ts';
import { duration, serialize } from './pack.ts';
import { pathChange } from './path-change.ts';
import { retryPolicy } from './retry.ts';
import { faultConfig, limitActions, limitConfig, perMillion } from './route-filters.ts';
import { envoyMatch } from './route-match.ts';

type PartialRoute = Parameters<typeof Route.fromPartial>[0];
type Action = Extract<PartialRoute['action'], { $case: 'route' }>['value'];

export interface Surroundings {
  /** Of the Service that clients talk to. */
  readonly port: number;
  /** The cluster of a backend; undefined: there is none. */
  readonly clusterOf: (backend: Pick<RouteBackend, 'namespace' | 'service' | 'port' | 'refused'>) => string | undefined;
}

/** The first route that matches decides. What none matches is answered 404, as Envoy does by itself. */
export function serviceRoutes(name: string, entries: readonly RouteEntry[], around: Surroundings): Buffer {
  const routes = entries.map((entry): PartialRoute => {
    const { rule, match } = entry;
    return {
      name: routeRuleName(entry.route, rule),
      match: envoyMatch(match),
      action: actionOf(rule, match, around),
      ...headersOf(rule),
      typedPerFilterConfig: filterConfigs(rule.filters),
    };
  });
  return serialize(RouteConfiguration, { name, virtualHosts: [{ name: 'all', domains: ['*'], routes }] });
}

function headersOf({ filters }: RouteRule) {
  const changes = headerChanges(filters);
  if (!filters.some(({ kind }) => kind === 'mirror')) return changes;
  return { ...changes, requestHeadersToAdd: [...changes.requestHeadersToAdd, clientHeader] };
}

function find<K extends RouteFilter['kind']>(filters: readonly RouteFilter[], kind: K) {
  return filters.find((filter): filter is Extract<RouteFilter, { kind: K }> => filter.kind === kind);
}

function filterConfigs(filters: readonly RouteFilter[]) {
  const [fault, limit] = [find(filters, 'fault'), find(filters, 'rateLimit')];
  return {
    ...(fault === undefined ? {} : faultConfig(fault)),
    ...(limit === undefined ? {} : limitConfig(limit)),
  };
}

const broken: PartialRoute['action'] = { $case: 'directResponse', value: { status: 500 } };

function actionOf(rule: RouteRule, match: RouteMatch, around: Surroundings): PartialRoute['action'] {
  const redirect = find(rule.filters, 'redirect');
  if (redirect !== undefined) return { $case: 'redirect', value: redirectOf(redirect, match, around) };
  const clusters = rule.backends
    .filter(({ weight }) => weight > 0)
    .map((backend) => ({ backend, cluster: isSupported(backend) ? around.clusterOf(backend) : undefined }));
  if (clusters.every(({ cluster }) => cluster === undefined)) return broken;
  const host = hostOf(rule.filters);
  const { timeouts } = rule;
  return {
    $case: 'route',
    value: {
      clusterSpecifier: {
        $case: 'weightedClusters',
        value: { clusters: clusters.map(({ backend, cluster }) => weighted(backend, cluster)) },
      },
      clusterNotFoundResponseCode: NotFound.INTERNAL_SERVER_ERROR,
      ...pathChange(find(rule.filters, 'rewrite')?.path, match),
      ...(host === undefined ? {} : { hostRewriteSpecifier: { $case: 'hostRewriteLiteral', value: host } }),
      timeout: duration(timeouts.request ?? 0),
      ...(timeouts.idle === undefined ? {} : { idleTimeout: duration(timeouts.idle) }),
      ...retryPolicy(rule),
      requestMirrorPolicies: mirrorsOf(rule, around),
      rateLimits: limitActions(find(rule.filters, 'rateLimit')),
      // Read where the cluster is balanced by client.
      hashPolicy: [{ policySpecifier: { $case: 'connectionProperties', value: { sourceIp: true } } }],
    } satisfies Action,
  };
}

/** Of a single backend only headers and the host can be changed. */
export function isSupported({ filters }: Pick<RouteBackend, 'filters'>): boolean {
  return filters.every(
    ({ kind, ...filter }) =>
      kind === 'requestHeaders' ||
      kind === 'responseHeaders' ||
      (kind === 'rewrite' && !('path' in filter && filter.path)),
  );
}

function weighted({ weight, filters }: RouteBackend, cluster: string | undefined) {
  const host = hostOf(filters);
  return {
    name: cluster ?? INVALID,
    weight,
    ...headerChanges(filters),
    ...(host === undefined ? {} : { hostRewriteSpecifier: { $case: 'hostRewriteLiteral' as const, value: host } }),
  };
}

function mirrorsOf({ filters }: RouteRule, around: Surroundings) {
  return filters
    .filter((filter) => filter.kind === 'mirror')
    .flatMap(({ backend, perMillion: share }) => {
      const cluster = around.clusterOf(backend);
      if (cluster === undefined) return [];
      const runtimeFraction = { defaultValue: perMillion(share) };
      return [
        { cluster: mirrorName(cluster), runtimeFraction, traceSampled: false, disableShadowHostSuffixAppend: true },
      ];
    });
}

const redirectCodes: Readonly<Record<number, RedirectCode>> = {
  301: RedirectCode.MOVED_PERMANENTLY,
  302: RedirectCode.FOUND,
  303: RedirectCode.SEE_OTHER,
  307: RedirectCode.TEMPORARY_REDIRECT,
  308: RedirectCode.PERMANENT_REDIRECT,
};

type Redirect = Extract<RouteFilter, { kind: 'redirect' }>;

function redirectOf(redirect: Redirect, match: RouteMatch, around: Surroundings) {
  const { scheme, hostname, path } = redirect;
  const full = path?.type === 'ReplaceFullPath' ? { $case: 'pathRedirect' as const, value: path.value } : undefined;
  const change = full === undefined ? pathChange(path, match) : undefined;
  const pathRewriteSpecifier =
    change === undefined
      ? full
      : 'prefixRewrite' in change
        ? { $case: 'prefixRewrite' as const, value: change.prefixRewrite }
        : { $case: 'regexRewrite' as const, value: change.regexRewrite };
  return {
    ...(scheme === undefined ? {} : { schemeRewriteSpecifier: { $case: 'schemeRedirect' as const, value: scheme } }),
    hostRedirect: hostname ?? '',
    portRedirect: portOf(redirect, around.port),
    ...(pathRewriteSpecifier === undefined ? {} : { pathRewriteSpecifier }),
    responseCode: redirectCodes[redirect.status] ?? RedirectCode.FOUND,
  };
}

const wellKnown: Readonly<Record<string, number>> = { http: 80, https: 443 };

/** 0: none is written, and one that the client wrote stays unless there is another host. */
function portOf({ scheme, hostname, port }: Redirect, own: number): number {
  const usual = wellKnown[scheme ?? 'http'];
  const wanted = port ?? (scheme === undefined ? own : (usual ?? own));
  const written = hostname === undefined && own !== 80;
  return wanted === usual && !written ? 0 : wanted;
}
