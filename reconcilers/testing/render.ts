/** Resources as a person reads them. */

import { Route } from '@envoyproxy/xds-protos/envoy/config/route/v3/route_components.ts';
import {
  AddressKind,
  Algorithm,
  Direction,
  type EnvoyResource,
  type NodeResource,
  type PolicyEntry,
  type PolicyListener,
  type PolicyRef,
  Protocol,
  Verdict,
} from '@weft/node-api';
import { formatAddress } from '../net/address.ts';
import { backendsIn, type Held, routesIn } from './held.ts';

export function render(held: Held): object {
  return {
    shared: renderAll(held.shared),
    nodes: Object.fromEntries(sorted(held.views).map(([node, view]) => [node, renderAll(view)])),
    ...(held.routes.size === 0 ? {} : { routes: Object.fromEntries(sorted(held.routes)) }),
    policies: Object.fromEntries(
      sorted(held.policies).map(([key, { ref, sets, pods, problems, ineffective }]) => [
        key,
        {
          generation: Number(ref.generation),
          pods,
          sets: Object.fromEntries(sorted(sets)),
          problems: problems.map(({ severity, field, message }) => `${severity} ${field}: ${message}`),
          ineffective: ineffective.map(({ by, direction, message }) => `${direction}, by ${showRef(by)}: ${message}`),
        },
      ]),
    ),
  };
}

function renderAll(resources: ReadonlyMap<string, NodeResource>): Record<string, unknown> {
  return Object.fromEntries(sorted(resources).map(([name, { resource }]) => [name, renderOne(resource)]));
}

function renderOne(resource: NodeResource['resource']): unknown {
  switch (resource?.$case) {
    case 'address':
      return `class ${hex(resource.value.class)} ${nameOf(AddressKind, resource.value.kind, 'ADDRESS_KIND_')}`;
    case 'endpoint': {
      const { namespace, name, serviceAccount, policySet, class: record } = resource.value;
      const proxy = resource.value.proxy ? ', proxy' : '';
      return `${namespace}/${name} as ${serviceAccount}, set ${hex(policySet)}, class ${hex(record)}${proxy}`;
    }
    case 'node': {
      const cidrs = resource.value.podCidrs.map(({ address, length }) => `${formatAddress(address)}/${length}`);
      return [...resource.value.addresses.map(formatAddress), ...cidrs].join(' ');
    }
    case 'policySet':
      return {
        entries: resource.value.entries.map(showEntry),
        rules: resource.value.rules.map((rule, n) =>
          `${n}: ${rule.policy === undefined ? '' : showRef(rule.policy)} ${nameOf(Direction, rule.direction, 'DIRECTION_')}${rule.deny ? ' deny' : ''} ${rule.index} ${rule.reason}${rule.http.length > 0 ? ` http ${JSON.stringify(rule.http)}` : ''}`.trim(),
        ),
        ingressDefaultDeny: resource.value.ingressDefaultDeny.map(showRef),
        egressDefaultDeny: resource.value.egressDefaultDeny.map(showRef),
        ...showListeners(resource.value.listeners),
      };
    case 'service': {
      const { clusterIps, externalIps, ports, algorithm, ...rest } = resource.value;
      return {
        clusterIps: clusterIps.map(formatAddress),
        externalIps: externalIps.map(formatAddress),
        algorithm: nameOf(Algorithm, algorithm, 'ALGORITHM_'),
        affinitySeconds: rest.affinitySeconds,
        internalLocal: rest.internalLocal,
        externalLocal: rest.externalLocal,
        ports: ports.map(({ name, protocol, port, nodePort, backends, listener }) => ({
          port: `${name} ${nameOf(Protocol, protocol, 'PROTOCOL_')}/${port} node port ${nodePort}`,
          ...(listener === 0n ? {} : { listener: hex(listener) }),
          backends: backends.map((backend) => `${formatAddress(backend.address)} ${backend.port} on ${backend.node}`),
        })),
      };
    }
    case 'envoy':
      return renderEnvoy(resource.value);
    default:
      return undefined;
  }
}

/** Routes as they are; of the others, which do not depend on policies, a hash that shows a change. */
function renderEnvoy({ typeUrl, name, value, listener }: EnvoyResource): unknown {
  return {
    name,
    type: typeUrl.replace('type.googleapis.com/envoy.config.', ''),
    ...(listener === 0n ? {} : { listener: hex(listener) }),
    ...contentOf(typeUrl, value),
  };
}

function contentOf(typeUrl: string, value: Uint8Array): object {
  if (typeUrl.endsWith('.ClusterLoadAssignment')) return { endpoints: backendsIn(value) };
  if (!typeUrl.endsWith('.RouteConfiguration')) return { bytes: value.length };
  return { routes: routesIn(value).map((route) => (judges(route) ? showRoute(route) : prune(Route.toJSON(route)))) };
}

/** A route of a policy: it only lets pass, or not. */
function judges({ action }: Route): boolean {
  if (action?.$case === 'directResponse') return action.value.status === 403;
  return action?.$case === 'route' && action.value.clusterSpecifier?.$case === 'cluster';
}

/** Without what is empty. */
function prune(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(prune);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, prune(inner)]);
  return Object.fromEntries(entries.filter(([, inner]) => inner !== undefined));
}

function showRoute({ name, match, action, requestHeadersToAdd, requestHeadersToRemove }: Route): string {
  const conditions = (match?.headers ?? []).map(({ name: header, headerMatchSpecifier: by }) => {
    if (by?.$case !== 'stringMatch') return `${header} is there`;
    const pattern = by.value.matchPattern;
    return pattern?.$case === 'safeRegex'
      ? `${header} ~ ${pattern.value.regex}`
      : `${header} ${pattern?.$case === 'contains' ? 'contains' : '='} ${pattern?.value}`;
  });
  const added = requestHeadersToAdd.map(
    ({ header, appendAction }) => `set(${appendAction}) ${header?.key}=${header?.value}`,
  );
  const removed = requestHeadersToRemove.map((header) => `remove ${header}`);
  const to =
    action?.$case === 'route' && action.value.clusterSpecifier?.$case === 'cluster'
      ? action.value.clusterSpecifier.value
      : action?.$case === 'directResponse' && String(action.value.status);
  const when = match?.pathSpecifier?.$case === 'connectMatcher' ? ['CONNECT'] : conditions;
  return [`${name}: ${when.join(' and ') || 'any'} → ${to}`, ...added, ...removed].join(', ');
}

function showListeners(listeners: readonly PolicyListener[]): object {
  return listeners.length === 0
    ? {}
    : { listeners: listeners.map(({ id, rules }) => `${hex(id)}: rules ${rules.join(' ')}`) };
}

function showEntry(entry: PolicyEntry): string {
  const port = entry.portBits === 0 ? '*' : entry.portBits === 16 ? `${entry.port}` : `${entry.port}/${entry.portBits}`;
  const traffic = `${nameOf(Protocol, entry.protocol, 'PROTOCOL_')} ${port}`;
  const verdict = nameOf(Verdict, entry.verdict, 'VERDICT_');
  return `${nameOf(Direction, entry.direction, 'DIRECTION_')} class ${hex(entry.class)} ${traffic} ${verdict} rule ${entry.rule}${entry.listener === 0n ? '' : ` listener ${hex(entry.listener)}`}`;
}

function showRef({ kind, namespace, name, generation }: PolicyRef): string {
  return `${[kind, namespace, name].filter((part) => part !== '').join('/')} generation ${generation}`;
}

function hex(id: bigint): string {
  return id.toString(16).padStart(16, '0');
}

function nameOf(names: Readonly<Record<string, number>>, value: number, prefix: string): string {
  const found = Object.keys(names).find((name) => names[name] === value);
  return (found ?? String(value)).replace(prefix, '').toLowerCase();
}

function sorted<V>(map: ReadonlyMap<string, V>): [string, V][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}
