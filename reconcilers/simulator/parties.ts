import type {
  Entity,
  Fact,
  NamespaceFact,
  NodeFact,
  Peer,
  PodFact,
  PolicyFact,
  PolicyPart,
  Requirement,
} from '../facts.ts';
import { addressBytes } from '../net/address.ts';
import type { Endpoint } from './simulate.ts';

/** What an address belongs to. */
export type Party =
  | { readonly kind: 'pod'; readonly pod: PodFact }
  | { readonly kind: 'node'; readonly node: string }
  /** In a pod CIDR, but no pod's. */
  | { readonly kind: 'pod-range' }
  | { readonly kind: 'world'; readonly value: bigint; readonly bits: 32 | 128 };

export interface World {
  readonly pods: readonly PodFact[];
  readonly nodes: readonly NodeFact[];
  readonly policies: readonly PolicyFact[];
  readonly namespaces: readonly NamespaceFact[];
}

export function worldOf(facts: Iterable<Fact>): World {
  const all = [...facts];
  return {
    pods: all.filter((fact) => fact.kind === 'pod'),
    nodes: all.filter((fact) => fact.kind === 'node'),
    policies: all.filter((fact) => fact.kind === 'policy'),
    namespaces: all.filter((fact) => fact.kind === 'namespace'),
  };
}

/** @throws Error with a sentence where there is no such pod or address */
export function partyOf(world: World, endpoint: Endpoint): Party {
  if ('address' in endpoint) return partyAt(world, endpoint.address);
  const pod = world.pods.find(({ namespace, name }) => `${namespace}/${name}` === endpoint.pod);
  if (pod === undefined) throw new Error(`There is no pod ${endpoint.pod}.`);
  return pod.hostNetwork ? { kind: 'node', node: pod.node } : { kind: 'pod', pod };
}

function partyAt(world: World, address: string): Party {
  const bytes = addressBytes(address);
  if (bytes === undefined) throw new Error(`${JSON.stringify(address)} is not an IP address.`);
  const node = world.nodes.filter((fact) => fact.addresses.some((own) => own === address)).map(({ name }) => name);
  if (node[0] !== undefined) return { kind: 'node', node: node.join(' ') };
  const [pod] = world.pods
    .filter((fact) => !fact.hostNetwork && !fact.terminated && fact.addresses.some((own) => own === address))
    .sort(younger);
  if (pod !== undefined) return { kind: 'pod', pod };
  const value = BigInt(`0x${bytes.toString('hex')}`);
  const bits = bytes.length === 4 ? 32 : 128;
  const inRange = world.nodes.some(({ podCidrs }) => podCidrs.some((cidr) => within(cidr, value, bits)));
  return inRange ? { kind: 'pod-range' } : { kind: 'world', value, bits };
}

/** A pod that is being deleted may have lost its address to a younger one. */
function younger(a: PodFact, b: PodFact): number {
  if (a.deleting !== b.deleting) return a.deleting ? 1 : -1;
  if (a.created !== b.created) return a.created > b.created ? -1 : 1;
  return `${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1;
}

export function subjectMatches(world: World, part: PolicyPart, pod: PodFact): boolean {
  return part.subject.every((requirement) => holds(world, requirement, pod));
}

/** @param local the pod that the policy selects: its node is `host`, others are `remote-node` */
export function peerMatches(world: World, peer: Peer, party: Party, local: PodFact): boolean {
  if (peer.kind === 'entity') return entityMatches(peer.entity, party, local);
  if (peer.kind === 'cidr') {
    if (party.kind !== 'world') return false;
    const { value, bits } = party;
    return within(peer.cidr, value, bits) && !peer.except.some((cidr) => within(cidr, value, bits));
  }
  if (party.kind === 'pod-range') return peer.selector.length === 0;
  return party.kind === 'pod' && peer.selector.every((requirement) => holds(world, requirement, party.pod));
}

function entityMatches(entity: Entity, party: Party, local: PodFact): boolean {
  const own = party.kind === 'node' && party.node.split(' ').includes(local.node);
  switch (entity) {
    case 'all':
      return true;
    case 'cluster':
      return party.kind !== 'world';
    case 'world':
      return party.kind === 'world';
    case 'world-ipv4':
      return party.kind === 'world' && party.bits === 32;
    case 'world-ipv6':
      return party.kind === 'world' && party.bits === 128;
    case 'host':
      return own;
    case 'remote-node':
      return party.kind === 'node' && !own;
  }
}

function holds(world: World, requirement: Requirement, pod: PodFact): boolean {
  const { scope, key, operator, values } = requirement;
  const value = {
    'pod-label': () => new Map(Object.entries(pod.labels)).get(key),
    'namespace-label': () => namespaceLabels(world, pod.namespace).get(key),
    namespace: () => pod.namespace,
    'service-account': () => pod.serviceAccount,
  }[scope]();
  if (operator === 'Exists') return value !== undefined;
  if (operator === 'DoesNotExist') return value === undefined;
  const listed = value !== undefined && values.some((wanted) => wanted === value);
  return operator === 'In' ? listed : !listed;
}

function namespaceLabels(world: World, name: string): Map<string, string> {
  const found = world.namespaces.find((fact) => fact.name === name);
  return new Map(found === undefined ? [['kubernetes.io/metadata.name', name]] : Object.entries(found.labels));
}

function within(cidr: string, value: bigint, bits: 32 | 128): boolean {
  const [address = '', length = ''] = cidr.split('/');
  const bytes = addressBytes(address);
  if (bytes === undefined || bytes.length * 8 !== bits) return false;
  const shift = BigInt(bits - Number(length));
  return BigInt(`0x${bytes.toString('hex')}`) >> shift === value >> shift;
}
