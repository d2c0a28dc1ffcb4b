/** Targets to the ends of connections, from facts alone. */
import type { EndpointsFact, Fact, NamedPort, PodFact, ServiceFact } from '../../reconcilers/index.ts';
import { UsageError } from '../errors.ts';
import type { Destination, Protocol, Target } from './target.ts';

/** One end of a connection. */
export interface Party {
  /** As in `shop/frontend-7d9f`, `node node1`, `203.0.113.1`. */
  readonly name: string;
  readonly addresses: readonly string[];
  /** Whose agent holds its policy; undefined: it is no pod with a network of its own, so that it has none. */
  readonly node?: string;
}

export interface ServerPort {
  readonly party: Party;
  /** 0 for ICMP. */
  readonly port: number;
}

/** @throws UsageError with a sentence where there is no such thing, or it has no address */
export function resolveSource(target: Target, facts: readonly Fact[]): Party {
  if (target.kind === 'service') {
    throw new UsageError(`Service ${target.namespace}/${target.name} starts no connections: name a pod as the source`);
  }
  if (target.kind === 'pod') return podParty(podNamed(target, facts));
  return target.kind === 'node' ? nodeParty(target.name, facts) : addressParty(addressOf(target), facts);
}

/** A Service is its endpoints, as the datapath translates it before any policy is asked. */
export function resolveDestination({ target, port, protocol }: Destination, facts: readonly Fact[]): ServerPort[] {
  if (target.kind === 'pod') {
    const pod = podNamed(target, facts);
    return [
      { party: podParty(pod), port: portOf(port, protocol, pod.ports, `pod ${target.namespace}/${target.name}`) },
    ];
  }
  if (target.kind === 'service') return serviceEnds(target, port, protocol, facts);
  if (target.kind === 'node') {
    return [{ party: nodeParty(target.name, facts), port: portOf(port, protocol, [], `node ${target.name}`) }];
  }
  const address = addressOf(target);
  const service = facts.find(
    (fact): fact is ServiceFact => fact.kind === 'service' && fact.clusterIps.some((own) => own === address),
  );
  if (service !== undefined) {
    return serviceEnds(service, port, protocol, facts).flatMap((end) => {
      const addresses = end.party.addresses.filter((own) => own.includes(':') === address.includes(':'));
      return addresses.length === 0 ? [] : [{ ...end, party: { ...end.party, addresses } }];
    });
  }
  const ports = podAt(address, facts)?.ports ?? [];
  return [{ party: addressParty(address, facts), port: portOf(port, protocol, ports, address) }];
}

/** The addresses that the two can talk by: one pair for each family that both have. */
export function addressPairs(source: Party, destination: Party): { readonly from: string; readonly to: string }[] {
  return [false, true].flatMap((v6) => {
    const isFamily = (address: string): boolean => address.includes(':') === v6;
    const [from, to] = [source.addresses.find(isFamily), destination.addresses.find(isFamily)];
    return from === undefined || to === undefined ? [] : [{ from, to }];
  });
}

function addressOf(target: Target): string {
  if (target.kind === 'address') return target.address;
  throw new UsageError(`${target.kind} can't be resolved here`);
}

function podNamed(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  facts: readonly Fact[],
): PodFact {
  const pods = facts.filter((fact): fact is PodFact => fact.kind === 'pod' && fact.namespace === namespace);
  const pod = pods.find((one) => one.name === name);
  if (pod === undefined) {
    const close = pods.filter((one) => one.name.startsWith(name)).map((one) => `${namespace}/${one.name}`);
    const hint =
      close.length > 0 ? `did you mean ${close.slice(0, 3).join(' or ')}?` : `kubectl get pods -n ${namespace}`;
    throw new UsageError(`there is no pod ${namespace}/${name}: ${hint}`);
  }
  if (pod.terminated) throw new UsageError(`pod ${namespace}/${name} has ended: it has no network any more`);
  if (pod.node === '' || pod.addresses.length === 0) {
    throw new UsageError(`pod ${namespace}/${name} has no address yet: kubectl describe pod -n ${namespace} ${name}`);
  }
  return pod;
}

function podParty(pod: PodFact): Party {
  const name = `${pod.namespace}/${pod.name}`;
  if (pod.hostNetwork) return { name: `${name} (host network of ${pod.node})`, addresses: pod.addresses };
  return { name, addresses: pod.addresses, node: pod.node };
}

function podAt(address: string, facts: readonly Fact[]): PodFact | undefined {
  const owners = facts.filter(
    (fact): fact is PodFact =>
      fact.kind === 'pod' && !fact.hostNetwork && !fact.terminated && fact.addresses.some((own) => own === address),
  );
  // A pod that is being deleted may have lost its address to a younger one.
  return owners.sort((a, b) => Number(a.deleting) - Number(b.deleting) || (a.created > b.created ? -1 : 1))[0];
}

function nodeParty(name: string, facts: readonly Fact[]): Party {
  const node = facts.find((fact) => fact.kind === 'node' && fact.name === name);
  if (node?.kind !== 'node') throw new UsageError(`there is no node ${name}: kubectl get nodes`);
  return { name: `node ${name}`, addresses: node.addresses };
}

function addressParty(address: string, facts: readonly Fact[]): Party {
  const pod = podAt(address, facts);
  if (pod !== undefined) return { ...podParty(pod), addresses: [address] };
  const node = facts.find((fact) => fact.kind === 'node' && fact.addresses.some((own) => own === address));
  return { name: node?.kind === 'node' ? `node ${node.name}` : address, addresses: [address] };
}

function portOf(
  port: number | string | undefined,
  protocol: Protocol,
  named: readonly NamedPort[],
  of: string,
): number {
  if (port === undefined) return 0;
  if (typeof port === 'number') return port;
  const found = named.find((one) => one.name === port && one.protocol === protocol);
  if (found !== undefined) return found.port;
  const known = named.filter(({ name }) => name !== '').map((one) => `${one.name} (${one.port}/${one.protocol})`);
  throw new UsageError(`${of} has no ${protocol} port named ${port}: ${known.join(', ') || 'use a number'}`);
}

function serviceEnds(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  port: number | string | undefined,
  protocol: Protocol,
  facts: readonly Fact[],
): ServerPort[] {
  const of = `Service ${namespace}/${name}`;
  if (port === undefined || protocol === 'ICMP') throw new UsageError(`${of} answers no ICMP: name one of its ports`);
  const service = facts.find((fact) => fact.kind === 'service' && fact.namespace === namespace && fact.name === name);
  const slices = facts.filter(
    (fact): fact is EndpointsFact => fact.kind === 'endpoints' && fact.namespace === namespace && fact.service === name,
  );
  if (service === undefined && slices.length === 0) {
    throw new UsageError(
      `there is no ${of}, or it has no endpoints: kubectl get service,endpointslice -n ${namespace}`,
    );
  }
  // Clients of a headless Service get the pods' own ports.
  const isWanted =
    service?.kind === 'service'
      ? servicePort(service, port, protocol, of)
      : (one: NamedPort) => one.port === port || one.name === port;
  const ends = new Map<string, ServerPort>();
  for (const { ports, endpoints } of slices) {
    for (const server of ports.filter((one) => one.protocol === protocol && isWanted(one))) {
      for (const address of endpoints.filter(({ state }) => state === 'ready').flatMap(({ addresses }) => addresses)) {
        const party = addressParty(address, facts);
        const key = `${party.name} ${server.port}`;
        const addresses = [...(ends.get(key)?.party.addresses ?? []), address];
        ends.set(key, { party: { ...party, addresses }, port: server.port });
      }
    }
  }
  if (ends.size === 0) {
    throw new UsageError(
      `${of} has no ready endpoints for ${protocol} port ${port}: connections are refused whatever policies say`,
    );
  }
  return [...ends.values()].sort((a, b) => (a.party.name < b.party.name ? -1 : 1));
}

function servicePort({ ports }: ServiceFact, port: number | string, protocol: Protocol, of: string) {
  const found = ports.find((one) => one.protocol === protocol && (one.port === port || one.name === port));
  if (found === undefined) {
    const known = ports
      .map((one) => `${one.port}/${one.protocol}${one.name === '' ? '' : ` (${one.name})`}`)
      .join(', ');
    throw new UsageError(`${of} has no ${protocol} port ${port}: it has ${known || 'none'}`);
  }
  return ({ name }: NamedPort): boolean => name === found.name;
}
