import type { Node } from '@weft/node-api';
import { addressText, familyOf, maskedText } from '../tables/address.ts';
import { decodeResource } from '../tables/resource.ts';
import type { ResourceStore } from './store.ts';

export function nodesOf(store: ResourceStore): Node[] {
  return store.names('node/').flatMap((name) => nodeOf(store, name) ?? []);
}

function nodeOf(store: ResourceStore, name: string): Node | undefined {
  const bytes = store.get(name)?.bytes;
  const resource = bytes && decodeResource(name, bytes);
  return resource?.$case === 'node' ? resource.value : undefined;
}

/** What the agent needs of its own node. */
export interface OwnNode {
  readonly addresses: readonly string[];
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly podCidrs: readonly string[];
}

export function ownNode(store: ResourceStore, name: string): OwnNode | undefined {
  const node = nodeOf(store, `node/${name}`);
  if (node === undefined) return undefined;
  const addresses = node.addresses.filter((bytes) => familyOf(bytes) !== undefined);
  const first = (family: 4 | 6) => addresses.find((bytes) => familyOf(bytes) === family);
  const [v4, v6] = [first(4), first(6)];
  return {
    addresses: addresses.map((bytes) => addressText(bytes)),
    ...(v4 ? { ipv4: addressText(v4) } : {}),
    ...(v6 ? { ipv6: addressText(v6) } : {}),
    podCidrs: node.podCidrs.map(({ address, length }) => maskedText({ bytes: address, length })),
  };
}
