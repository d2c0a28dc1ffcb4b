import type { EndpointsFact, NamedPort, ServicePortFact } from '../facts.ts';
import type { Address } from '../net/address.ts';

export interface ServiceBackend {
  readonly address: Address;
  readonly port: number;
  /** '' if unknown. */
  readonly node: string;
}

/** For each family: what is ready; if nothing is, what still serves while it ends (KEP-1669). */
export function backendsOf(port: ServicePortFact, slices: ReadonlyMap<string, EndpointsFact>): ServiceBackend[] {
  const sorted = [...slices.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const found = sorted.flatMap((slice) => candidates(port, slice));
  const families = [found.filter((c) => !c.address.includes(':')), found.filter((c) => c.address.includes(':'))];
  return families.flatMap((family) => {
    const ready = family.filter(({ state }) => state === 'ready');
    const used = ready.length > 0 ? ready : family;
    const unique = new Map(used.map((c) => [`${c.address} ${String(c.port).padStart(5, '0')}`, c]));
    return [...unique.keys()].sort().flatMap((key) => {
      const candidate = unique.get(key);
      return candidate === undefined
        ? []
        : [{ address: candidate.address, port: candidate.port, node: candidate.node }];
    });
  });
}

/** Ports of a Service and of its slices belong together by name. */
function candidates(port: ServicePortFact, slice: EndpointsFact) {
  const targets: readonly NamedPort[] = slice.ports.filter(
    ({ name, protocol }) => name === port.name && protocol === port.protocol,
  );
  return targets.flatMap((target) =>
    slice.endpoints.flatMap(({ addresses, node, state }) =>
      addresses.map((address) => ({ address, port: target.port, node, state })),
    ),
  );
}
