import type { RouteMatch as EnvoyMatch } from '@envoyproxy/xds-protos/envoy/config/route/v3/route_components.ts';
import type { NamedMatch, RouteMatch } from '../facts.ts';
import { withoutEnd } from '../routes/order.ts';

type PartialMatch = Parameters<typeof EnvoyMatch.fromPartial>[0];
type Matcher = NonNullable<PartialMatch['headers']>[number];

/** Conditions of a route, as Envoy wants them. */
export function envoyMatch(match: RouteMatch): PartialMatch {
  return {
    pathSpecifier: pathSpecifier(match),
    headers: [
      ...(match.method === undefined ? [] : [exact(':method', match.method)]),
      ...(match.host === undefined ? [] : [expression(':authority', hostExpression(match.host))]),
      ...match.headers.map(headerMatcher),
    ],
    queryParameters: match.query.map(queryMatcher),
  };
}

function pathSpecifier({ path, grpc }: RouteMatch): PartialMatch['pathSpecifier'] {
  if (grpc !== undefined) return grpcPath(grpc);
  switch (path?.type) {
    case 'Exact':
      return { $case: 'path', value: path.value };
    case 'RegularExpression':
      return { $case: 'safeRegex', value: { regex: path.value } };
    default:
      return prefix(withoutEnd(path?.value ?? '/'));
  }
}

function prefix(value: string): PartialMatch['pathSpecifier'] {
  return value === '' ? { $case: 'prefix', value: '/' } : { $case: 'pathSeparatedPrefix', value };
}

/** /package.Service/Method */
function grpcPath({ type, service, method }: NonNullable<RouteMatch['grpc']>): PartialMatch['pathSpecifier'] {
  if (type === 'Exact') {
    if (service !== undefined && method !== undefined) return { $case: 'path', value: `/${service}/${method}` };
    if (service !== undefined) return prefix(`/${service}`);
    if (method === undefined) return prefix('');
  }
  const part = (text: string | undefined) =>
    text === undefined ? '[^/]+' : type === 'Exact' ? quoted(text) : `(?:${text})`;
  return { $case: 'safeRegex', value: { regex: `/${part(service)}/${part(method)}` } };
}

/** With any port; `*.` stands for one label or more, as in the Gateway API. */
function hostExpression(host: string): string {
  const name = host.startsWith('*.') ? `.+${quoted(host.slice(1))}` : quoted(host);
  return `(?i)${name}(?::[0-9]+)?`;
}

/** Text for RE2 that means itself. */
export function quoted(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

function headerMatcher({ name, type, value }: NamedMatch): Matcher {
  switch (type) {
    case 'Exact':
      return exact(name, value);
    case 'RegularExpression':
      return expression(name, value);
    case 'Present':
      return { name, headerMatchSpecifier: { $case: 'presentMatch', value: true } };
  }
}

function exact(name: string, value: string): Matcher {
  const stringMatch = { matchPattern: { $case: 'exact' as const, value } };
  return { name, headerMatchSpecifier: { $case: 'stringMatch', value: stringMatch } };
}

function expression(name: string, regex: string): Matcher {
  const stringMatch = { matchPattern: { $case: 'safeRegex' as const, value: { regex } } };
  return { name, headerMatchSpecifier: { $case: 'stringMatch', value: stringMatch } };
}

function queryMatcher({ name, type, value }: NamedMatch): NonNullable<PartialMatch['queryParameters']>[number] {
  if (type === 'Present') return { name, queryParameterMatchSpecifier: { $case: 'presentMatch', value: true } };
  const matchPattern =
    type === 'Exact' ? { $case: 'exact' as const, value } : { $case: 'safeRegex' as const, value: { regex: value } };
  return { name, queryParameterMatchSpecifier: { $case: 'stringMatch', value: { matchPattern } } };
}
