import { Algorithm, type NodeResource, Protocol, type ServicePort } from '@weft/node-api';
import { clusterName, routeListener } from '../envoy/names.ts';
import { endpointsResource, mirrorResources, serviceClusterResource } from '../envoy/resources.ts';
import type { EndpointsFact, MeshServiceFact, ServiceFact, ServicePortFact } from '../facts.ts';
import type { AddressBytes } from '../net/address-bytes.ts';
import type { Visits } from '../visits.ts';
import { backendsOf } from './backends.ts';
import { familiesOf, familyOf, protocolOf } from './ports.ts';

interface Row {
  service: ServiceFact | undefined;
  mesh: MeshServiceFact | undefined;
  /** By the slice's name. */
  readonly slices: Map<string, EndpointsFact>;
  /** Names of the resources that nodes hold of it. */
  told: readonly string[];
}

/** What routes make of Services; `key`: namespace/name. */
export interface Routing {
  /** Envoy routes what clients send to the port. */
  isAttached(key: string, port: ServicePortFact): boolean;
  /** Routes lead to it. */
  isBackend(key: string, port: ServicePortFact): boolean;
  /** Some of them with copies of requests. */
  isMirror(key: string, port: ServicePortFact): boolean;
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

  /** undefined: nothing that routes could be attached to, or lead to. */
  get(key: string): ServiceFact | undefined {
    return this.#rows.get(key)?.service;
  }

  /** What routes make of the Service may be something else. */
  touch(key: string): void {
    this.#dirty.add(key);
  }

  set(before: ServiceInput | undefined, after: ServiceInput | undefined): void {
    // A slice may change the Service that it belongs to.
    if (before !== undefined) this.#put(before, false);
    if (after !== undefined) this.#put(after, true);
  }

  /** Resources of the Services that may have changed; undefined: no node holds it. */
  *changes(routing: Routing, visits: Visits): Iterable<[name: string, resource: NodeResource | undefined]> {
    for (const key of [...this.#dirty].sort()) {
      const row = this.#rows.get(key);
      visits.count += 1 + (row?.slices.size ?? 0);
      if (row === undefined) continue;
      const resources = this.#resources(key, row, routing);
      for (const name of row.told) if (!resources.has(name)) yield [name, undefined];
      yield* resources;
      row.told = [...resources.keys()];
      if (row.service === undefined && row.mesh === undefined && row.slices.size === 0) {
        this.#rows.delete(key);
      }
    }
    this.#dirty.clear();
  }

  #put(fact: ServiceInput, present: boolean): void {
    const key = `${fact.namespace}/${fact.kind === 'endpoints' ? fact.service : fact.name}`;
    const row: Row = this.#rows.get(key) ?? { service: undefined, mesh: undefined, slices: new Map(), told: [] };
    this.#rows.set(key, row);
    this.#dirty.add(key);
    if (fact.kind === 'service') row.service = present ? fact : undefined;
    else if (fact.kind === 'meshService') row.mesh = present ? fact : undefined;
    else if (present) row.slices.set(fact.name, fact);
    else row.slices.delete(fact.name);
  }

  /** The Service itself; and of its ports those that routes choose as backends, for Envoy. */
  #resources(key: string, { service, mesh, slices }: Row, routing: Routing): Map<string, NodeResource> {
    const resources = new Map<string, NodeResource>();
    if (service === undefined) return resources;
    resources.set(`service/${key}`, this.#service(key, service, mesh, slices, routing));
    const affinity = mesh?.algorithm === 'Maglev' || ((mesh?.affinitySeconds ?? 0) || service.affinitySeconds) > 0;
    for (const port of service.ports.filter((one) => routing.isBackend(key, one))) {
      const backends = backendsOf(port, slices);
      for (const family of familiesOf(service)) {
        const name = clusterName(key, port.port, family);
        resources.set(`envoy/cluster/${name}`, serviceClusterResource(name, protocolOf(port), affinity));
        const mirror = routing.isMirror(key, port) ? mirrorResources(name) : [];
        for (const [own, resource] of mirror) resources.set(own, resource);
        resources.set(
          `envoy/endpoints/${name}`,
          endpointsResource(
            name,
            backends.filter((b) => familyOf(b.address) === family),
          ),
        );
      }
    }
    return resources;
  }

  #service(
    key: string,
    service: ServiceFact,
    mesh: MeshServiceFact | undefined,
    slices: Row['slices'],
    routing: Routing,
  ): NodeResource {
    return {
      resource: {
        $case: 'service',
        value: {
          namespace: service.namespace,
          name: service.name,
          clusterIps: service.clusterIps.map((address) => this.#bytes.of(address)),
          externalIps: service.externalIps.map((address) => this.#bytes.of(address)),
          ports: service.ports.map((port) => this.#port(key, port, slices, routing)),
          algorithm: mesh?.algorithm === 'Maglev' ? Algorithm.ALGORITHM_MAGLEV : Algorithm.ALGORITHM_RANDOM,
          affinitySeconds: (mesh?.affinitySeconds ?? 0) || service.affinitySeconds,
          internalLocal: service.internalLocal,
          externalLocal: service.externalLocal,
        },
      },
    };
  }

  #port(key: string, port: ServicePortFact, slices: Row['slices'], routing: Routing): ServicePort {
    return {
      name: port.name,
      protocol: PROTOCOLS[port.protocol],
      port: port.port,
      nodePort: port.nodePort,
      backends: backendsOf(port, slices).map(({ address, ...rest }) => ({ ...rest, address: this.#bytes.of(address) })),
      listener: routing.isAttached(key, port) ? routeListener(key, port.port) : 0n,
    };
  }
}
