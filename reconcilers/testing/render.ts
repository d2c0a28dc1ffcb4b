/** Resources as a person reads them. */
import {
  AddressKind,
  Algorithm,
  Direction,
  type NodeResource,
  type PolicyEntry,
  type PolicyRef,
  Protocol,
  Verdict,
} from '@weft/node-api';
import { formatAddress } from '../net/address.ts';
import type { Held } from './held.ts';

export function render(held: Held): object {
  return {
    shared: renderAll(held.shared),
    nodes: Object.fromEntries(sorted(held.views).map(([node, view]) => [node, renderAll(view)])),
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
      return `${namespace}/${name} as ${serviceAccount}, set ${hex(policySet)}, class ${hex(record)}`;
    }
    case 'node': {
      const cidrs = resource.value.podCidrs.map(({ address, length }) => `${formatAddress(address)}/${length}`);
      return [...resource.value.addresses.map(formatAddress), ...cidrs].join(' ');
    }
    case 'policySet':
      return {
        entries: resource.value.entries.map(showEntry),
        rules: resource.value.rules.map((rule, n) =>
          `${n}: ${rule.policy === undefined ? '' : showRef(rule.policy)} ${nameOf(Direction, rule.direction, 'DIRECTION_')}${rule.deny ? ' deny' : ''} ${rule.index} ${rule.reason}`.trim(),
        ),
        ingressDefaultDeny: resource.value.ingressDefaultDeny.map(showRef),
        egressDefaultDeny: resource.value.egressDefaultDeny.map(showRef),
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
        ports: ports.map(({ name, protocol, port, nodePort, backends }) => ({
          port: `${name} ${nameOf(Protocol, protocol, 'PROTOCOL_')}/${port} node port ${nodePort}`,
          backends: backends.map((backend) => `${formatAddress(backend.address)} ${backend.port} on ${backend.node}`),
        })),
      };
    }
    default:
      return undefined;
  }
}

function showEntry(entry: PolicyEntry): string {
  const port = entry.portBits === 0 ? '*' : entry.portBits === 16 ? `${entry.port}` : `${entry.port}/${entry.portBits}`;
  const traffic = `${nameOf(Protocol, entry.protocol, 'PROTOCOL_')} ${port}`;
  const verdict = nameOf(Verdict, entry.verdict, 'VERDICT_');
  return `${nameOf(Direction, entry.direction, 'DIRECTION_')} class ${hex(entry.class)} ${traffic} ${verdict} rule ${entry.rule}`;
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
