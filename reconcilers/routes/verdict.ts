import { isSupported } from '../envoy/service-routes.ts';
import type { RouteBackend, RouteFact, RouteParent, ServiceFact } from '../facts.ts';
import type { RouteVerdict } from '../output.ts';
import { tcpPort } from '../services/ports.ts';

export type Services = { get(key: string): ServiceFact | undefined };

/** What a route leads to. */
export type Target = Pick<RouteBackend, 'namespace' | 'service' | 'port' | 'refused'>;

/** What a route is as a whole: one that was not understood applies nowhere. */
export function isUnderstood({ problems }: RouteFact): boolean {
  return problems.every(({ severity }) => severity !== 'error');
}

/** As the Gateway API has it in a route's status. */
export function verdictOf(route: RouteFact, services: Services): RouteVerdict {
  return {
    parents: route.parents.map((parent) => ({ index: parent.index, ...parentVerdict(route, parent, services) })),
    resolvedRefs: refsVerdict(route, services),
  };
}

function parentVerdict(route: RouteFact, { namespace, service, port }: RouteParent, services: Services) {
  const errors = route.problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) {
    const message = errors.map((error) => `${error.field}: ${error.message}`).join(' ');
    return { accepted: false, reason: 'UnsupportedValue', message };
  }
  const found = services.get(`${namespace}/${service}`);
  if (found === undefined) {
    const message = `There is no Service ${namespace}/${service} with a cluster IP.`;
    return { accepted: false, reason: 'NoMatchingParent', message };
  }
  const ports = found.ports.filter(({ protocol }) => protocol === 'TCP');
  if (!ports.some((one) => port === undefined || one.port === port)) {
    const wanted = port === undefined ? 'TCP port' : `TCP port ${port}`;
    return {
      accepted: false,
      reason: 'NoMatchingParent',
      message: `Service ${namespace}/${service} has no ${wanted}.`,
    };
  }
  return { accepted: true, reason: 'Accepted', message: '' };
}

interface WrittenTarget {
  /** Where it is written. */
  readonly field: string;
  readonly target: Target;
  readonly mirror: boolean;
}

export function* targetsOf({ rules }: RouteFact): Iterable<WrittenTarget> {
  for (const rule of rules) {
    for (const [index, backend] of rule.backends.entries()) {
      const field = `rules[${rule.index}].backendRefs[${index}]`;
      const target = isSupported(backend) ? backend : { ...backend, refused: backend.refused ?? unsupported };
      yield { field, target, mirror: false };
    }
    for (const filter of rule.filters) {
      if (filter.kind === 'mirror')
        yield { field: `rules[${rule.index}].filters`, target: filter.backend, mirror: true };
    }
  }
}

const unsupported = {
  reason: 'UnsupportedValue',
  message: 'Of a single backend only headers and the host can be changed.',
} as const;

function refsVerdict(route: RouteFact, services: Services): RouteVerdict['resolvedRefs'] {
  const broken = [...targetsOf(route)].flatMap(({ field, target }) => {
    const problem = problemOf(target, services);
    return problem === undefined ? [] : [{ ...problem, message: `${field}: ${problem.message}` }];
  });
  const [first] = broken;
  if (first === undefined) return { status: true, reason: 'ResolvedRefs', message: '' };
  return { status: false, reason: first.reason, message: broken.map(({ message }) => message).join(' ') };
}

/** Why requests for the target are answered 500; undefined: they are not. */
export function problemOf({ namespace, service, port, refused }: Target, services: Services) {
  if (refused !== undefined) return { reason: refused.reason as string, message: refused.message };
  const found = services.get(`${namespace}/${service}`);
  if (found === undefined) {
    return { reason: 'BackendNotFound', message: `There is no Service ${namespace}/${service} with a cluster IP.` };
  }
  if (tcpPort(found, port) !== undefined) return undefined;
  if (found.ports.some((one) => one.port === port)) {
    return { reason: 'UnsupportedProtocol', message: `Port ${port} of Service ${namespace}/${service} is not TCP.` };
  }
  return { reason: 'BackendNotFound', message: `Service ${namespace}/${service} has no port ${port}.` };
}
