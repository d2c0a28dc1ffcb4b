import { Algorithm, type Backend, type NodeResource, Protocol, type ServicePort } from '@weft/node-api';
import type { EndpointsFact, MeshServiceFact, NamedPort, ServiceFact, ServicePortFact } from '../facts.ts';
import type { AddressBytes } from '../net/address-bytes.ts';
import type { Visits } from '../visits.ts';

interface Row {
  service: ServiceFact | undefined;
  mesh: MeshServiceFact | undefined;
  /** By the slice's name. */
  readonly slices: Map<string, EndpointsFact>;
}

type ServiceInput = ServiceFact | MeshServiceFact | EndpointsFact;

const PROTOCOLS = { TCP: Protocol.PROTOCOL_TCP, UDP: Protocol.PROTOCOL_UDP, SCTP: Protocol.PROTOCOL_SCTP } as const;

/** Services with their EndpointSlices and what MeshService adds. */
export class ServiceTable {
  readonly #rows = new Map<string, Row>();
  readonly #dirty = new Set<string>();
  readonly #bytes: AddressBytes;

  constructor(bytes: AddressBytes) {
    this.#bytes = bytes;
  }

  get size(): number {
    return this.#rows.size;
  }

  set(before: ServiceInput | undefined, after: ServiceInput | undefined): void {
    // A slice may change the Service that it belongs to.
    if (before !== undefined) this.#put(before, false);
    if (after !== undefined) this.#put(after, true);
  }

  /** Resources of the Services that may have changed; undefined: no node holds it. */
  *changes(visits: Visits): Iterable<[name: string, resource: NodeResource | undefined]> {
    for (const key of [...this.#dirty].sort()) {
      const row = this.#rows.get(key);
      visits.count += 1 + (row?.slices.size ?? 0);
      yield [`service/${key}`, row === undefined ? undefined : this.#resource(row)];
      if (row !== undefined && row.service === undefined && row.mesh === undefined && row.slices.size === 0) {
        this.#rows.delete(key);
      }
    }
    this.#dirty.clear();
  }

  #put(fact: ServiceInput, present: boolean): void {
    const key = `${fact.namespace}/${fact.kind === 'endpoints' ? fact.service : fact.name}`;
    const row: Row = this.#rows.get(key) ?? { service: undefined, mesh: undefined, slices: new Map() };
    this.#rows.set(key, row);
    this.#dirty.add(key);
    if (fact.kind === 'service') row.service = present ? fact : undefined;
    else if (fact.kind === 'meshService') row.mesh = present ? fact : undefined;
    else if (present) row.slices.set(fact.name, fact);
    else row.slices.delete(fact.name);
  }

  #resource({ service, mesh, slices }: Row): NodeResource | undefined {
    if (service === undefined) return undefined;
    return {
      resource: {
        $case: 'service',
        value: {
          namespace: service.namespace,
          name: service.name,
          clusterIps: service.clusterIps.map((address) => this.#bytes.of(address)),
          externalIps: service.externalIps.map((address) => this.#bytes.of(address)),
          ports: service.ports.map((port) => this.#port(port, slices)),
          algorithm: mesh?.algorithm === 'Maglev' ? Algorithm.ALGORITHM_MAGLEV : Algorithm.ALGORITHM_RANDOM,
          affinitySeconds: (mesh?.affinitySeconds ?? 0) || service.affinitySeconds,
          internalLocal: service.internalLocal,
          externalLocal: service.externalLocal,
        },
      },
    };
  }

  #port(port: ServicePortFact, slices: ReadonlyMap<string, EndpointsFact>): ServicePort {
    return {
      name: port.name,
      protocol: PROTOCOLS[port.protocol],
      port: port.port,
      nodePort: port.nodePort,
      backends: this.#backends(port, slices),
      listener: 0n,
    };
  }

  /** For each family: what is ready; if nothing is, what still serves while it ends (KEP-1669). */
  #backends(port: ServicePortFact, slices: ReadonlyMap<string, EndpointsFact>): Backend[] {
    const sorted = [...slices.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    const found = sorted.flatMap((slice) => candidates(port, slice));
    const families = [found.filter((c) => !c.address.includes(':')), found.filter((c) => c.address.includes(':'))];
    return families.flatMap((family) => {
      const ready = family.filter(({ state }) => state === 'ready');
      const used = ready.length > 0 ? ready : family;
      const unique = new Map(used.map((c) => [`${c.address} ${String(c.port).padStart(5, '0')}`, c]));
      return [...unique.keys()].sort().flatMap((key) => {
        const candidate = unique.get(key);
        if (candidate === undefined) return [];
        return [{ address: this.#bytes.of(candidate.address), port: candidate.port, node: candidate.node }];
      });
    });
  }
}

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
