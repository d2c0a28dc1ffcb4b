import { HeaderValueOption_HeaderAppendAction as Append } from '@envoyproxy/xds-protos/envoy/config/core/v3/base.ts';
import type { RouteFilter } from '../facts.ts';
import { CLIENT_HEADER } from './names.ts';

type HeaderFilter = Extract<RouteFilter, { kind: 'requestHeaders' | 'responseHeaders' }>;

export function isHeaderFilter(filter: RouteFilter): filter is HeaderFilter {
  return filter.kind === 'requestHeaders' || filter.kind === 'responseHeaders';
}

/** Fields of a route, or of one of its weighted clusters. */
export function headerChanges(filters: readonly RouteFilter[]) {
  const of = (kind: HeaderFilter['kind']) => filters.filter(isHeaderFilter).filter((filter) => filter.kind === kind);
  const [request, response] = [of('requestHeaders'), of('responseHeaders')];
  return {
    requestHeadersToAdd: request.flatMap(additions),
    requestHeadersToRemove: request.flatMap(({ remove }) => remove.filter(isPlain)),
    responseHeadersToAdd: response.flatMap(additions),
    responseHeadersToRemove: response.flatMap(({ remove }) => remove.filter(isPlain)),
  };
}

function additions({ set, add }: HeaderFilter) {
  return [
    ...set.filter(({ name }) => isPlain(name)).map((header) => change(header, Append.OVERWRITE_IF_EXISTS_OR_ADD)),
    ...add.filter(({ name }) => isPlain(name)).map((header) => change(header, Append.APPEND_IF_EXISTS_OR_ADD)),
  ];
}

/** Envoy reads % as the begin of a command. */
export function change(
  { name, value }: { name: string; value: string },
  appendAction: (typeof Append)[keyof typeof Append],
) {
  return { header: { key: name, value: value.replaceAll('%', '%%') }, appendAction, keepEmptyValue: true };
}

/** The host is no header to Envoy: `hostOf`. */
function isPlain(name: string): boolean {
  return !name.startsWith(':') && !['host', CLIENT_HEADER].includes(name.toLowerCase());
}

/** What the server is to see as the host, by a rewrite or as a header; undefined: what the client said. */
export function hostOf(filters: readonly RouteFilter[]): string | undefined {
  const hosts = filters.flatMap((filter) => {
    if (filter.kind === 'rewrite') return filter.hostname === undefined ? [] : [filter.hostname];
    if (filter.kind !== 'requestHeaders') return [];
    return [...filter.set, ...filter.add].filter(({ name }) => name.toLowerCase() === 'host').map(({ value }) => value);
  });
  return hosts.at(-1);
}
