import type { NodeResource } from '@weft/node-api';
import type { NodeFact } from '../facts.ts';
import { type Address, addressBytes, type Cidr, type ParsedCidr, parseCidr, prefixOf } from '../net/address.ts';
import { addressName } from '../nodes/address-name.ts';
import { addCount, type PodRecord } from '../records.ts';
import type { ClassRecord } from './class-table.ts';

/** An address that at least one pod claims. */
export interface AddressRecord {
  readonly address: Address;
  readonly prefix: ParsedCidr;
  /** The resource's. */
  readonly name: string;
  /** As last made: many nodes hold the same. */
  placed: { readonly class: ClassRecord; readonly resource: NodeResource } | undefined;
  readonly claims: Set<PodRecord>;
  /** Whose it is: a deleted pod's address may be given away before its object is gone. */
  owner: PodRecord | undefined;
  /** The pod CIDR that holds it, if any. */
  within: Cidr | undefined;
}

/** Which addresses belong to the cluster, and what each of them is. */
export class AddressTable {
  readonly #pods = new Map<Address, AddressRecord>();
  readonly #nodes = new Map<Address, number>();
  readonly #podCidrs = new Map<Cidr, { readonly parsed: ParsedCidr; nodes: number }>();
  /** Lengths that pod CIDRs have, with how many have it, by "bytes of an address/length". */
  readonly #shapes = new Map<string, { readonly bytes: number; readonly length: number; cidrs: number }>();
  readonly #uncovered = new Set<AddressRecord>();
  readonly #covered = new Map<Cidr, Set<AddressRecord>>();

  /** Prefixes whose shared resource may have changed; the caller empties it. */
  readonly dirty = new Map<Cidr, ParsedCidr>();
  /** Pods whose own addresses may have changed; the caller empties it. */
  readonly dirtyPods = new Set<PodRecord>();

  get size(): number {
    return this.#pods.size + this.#nodes.size + this.#podCidrs.size + this.#shapes.size + this.#uncovered.size;
  }

  setNode(before: NodeFact | undefined, after: NodeFact | undefined): void {
    const added = new Set<Address>(after?.addresses ?? []);
    for (const address of added) this.#countNode(address, 1);
    for (const address of new Set(before?.addresses ?? [])) this.#countNode(address, -1);
    for (const cidr of new Set(after?.podCidrs ?? [])) this.#countCidr(cidr, 1);
    for (const cidr of new Set(before?.podCidrs ?? [])) this.#countCidr(cidr, -1);
  }

  claim(pod: PodRecord, address: Address): void {
    let record = this.#pods.get(address);
    if (record === undefined) {
      const bytes = addressBytes(address);
      if (bytes === undefined) return;
      const prefix = prefixOf(bytes, bytes.length * 8);
      record = {
        address,
        prefix,
        name: addressName(prefix),
        placed: undefined,
        claims: new Set(),
        owner: undefined,
        within: undefined,
      };
      this.#pods.set(address, record);
      this.#cover(record);
    }
    record.claims.add(pod);
    this.#choose(record);
  }

  disclaim(pod: PodRecord, address: Address): void {
    const record = this.#pods.get(address);
    if (record === undefined) return;
    record.claims.delete(pod);
    this.#choose(record);
    if (record.claims.size > 0) return;
    this.#uncover(record);
    this.#pods.delete(address);
  }

  /** The addresses that are this pod's alone, sorted. */
  ownedBy(pod: PodRecord): AddressRecord[] {
    const records = (pod.fact?.addresses ?? []).map((address) => this.#pods.get(address));
    return records
      .filter((record) => record !== undefined)
      .filter((record) => record.owner === pod)
      .sort((a, b) => (a.address < b.address ? -1 : 1));
  }

  /** What every node but its owner takes the prefix for; undefined: nothing of the cluster. */
  kindOf(prefix: ParsedCidr): 'remote-node' | 'pod' | undefined {
    const address = wholeAddress(prefix);
    if (address !== undefined && this.#nodes.has(address)) return 'remote-node';
    if (this.#podCidrs.has(prefix.text)) return 'pod';
    const record = address === undefined ? undefined : this.#pods.get(address);
    return record?.owner !== undefined && record.within === undefined ? 'pod' : undefined;
  }

  /** True: a policy's CIDR says nothing about it, because the addresses are the cluster's. */
  belongsToCluster(prefix: ParsedCidr): boolean {
    const address = wholeAddress(prefix);
    if (address !== undefined && (this.#nodes.has(address) || this.#pods.get(address)?.owner !== undefined))
      return true;
    return this.#within(prefix) !== undefined;
  }

  #countNode(address: Address, difference: number): void {
    addCount(this.#nodes, address, difference);
    const bytes = addressBytes(address);
    if (bytes !== undefined) this.#touch(prefixOf(bytes, bytes.length * 8));
    const record = this.#pods.get(address);
    if (record !== undefined) this.#choose(record);
  }

  #countCidr(text: Cidr, difference: number): void {
    const parsed = parseCidr(text);
    if (parsed === undefined) return;
    const row = this.#podCidrs.get(text) ?? { parsed, nodes: 0 };
    row.nodes += difference;
    this.#touch(parsed);
    if (row.nodes === 0) {
      this.#podCidrs.delete(text);
      this.#countShape(parsed, -1);
      for (const record of [...(this.#covered.get(text) ?? [])]) this.#recover(record);
    } else if (row.nodes === difference) {
      this.#podCidrs.set(text, row);
      this.#countShape(parsed, 1);
      for (const record of [...this.#uncovered]) this.#recover(record);
    }
  }

  #countShape({ bytes, length }: ParsedCidr, difference: 1 | -1): void {
    const key = `${bytes.length}/${length}`;
    const shape = this.#shapes.get(key) ?? { bytes: bytes.length, length, cidrs: 0 };
    shape.cidrs += difference;
    if (shape.cidrs === 0) this.#shapes.delete(key);
    else this.#shapes.set(key, shape);
  }

  #recover(record: AddressRecord): void {
    this.#uncover(record);
    this.#cover(record);
    this.#touch(record.prefix);
  }

  #cover(record: AddressRecord): void {
    record.within = this.#within(record.prefix);
    if (record.within === undefined) {
      this.#uncovered.add(record);
      return;
    }
    const records = this.#covered.get(record.within) ?? new Set();
    this.#covered.set(record.within, records.add(record));
  }

  #uncover(record: AddressRecord): void {
    this.#uncovered.delete(record);
    if (record.within === undefined) return;
    const records = this.#covered.get(record.within);
    records?.delete(record);
    if (records?.size === 0) this.#covered.delete(record.within);
  }

  /** Any pod CIDR that holds the whole prefix. */
  #within(prefix: ParsedCidr): Cidr | undefined {
    for (const { bytes, length } of this.#shapes.values()) {
      if (bytes !== prefix.bytes.length || length > prefix.length) continue;
      const { text } = prefixOf(prefix.bytes, length);
      if (this.#podCidrs.has(text)) return text;
    }
    return undefined;
  }

  /** The same pod whatever the order of events: not deleting before deleting, younger before older. */
  #choose(record: AddressRecord): void {
    const claims = this.#nodes.has(record.address) ? [] : [...record.claims].sort(compareClaims);
    const owner = claims[0];
    for (const pod of record.claims) this.dirtyPods.add(pod);
    if (owner === record.owner) return;
    if (record.owner !== undefined) this.dirtyPods.add(record.owner);
    record.owner = owner;
    this.#touch(record.prefix);
  }

  #touch(prefix: ParsedCidr): void {
    this.dirty.set(prefix.text, prefix);
  }
}

function compareClaims(a: PodRecord, b: PodRecord): number {
  const deleting = Number(a.fact?.deleting ?? true) - Number(b.fact?.deleting ?? true);
  if (deleting !== 0) return deleting;
  const [older, younger] = [a.fact?.created ?? '', b.fact?.created ?? ''];
  if (older !== younger) return older > younger ? -1 : 1;
  return a.key < b.key ? -1 : 1;
}

function wholeAddress(prefix: ParsedCidr): Address | undefined {
  return prefix.length === prefix.bytes.length * 8
    ? (prefix.text.slice(0, prefix.text.indexOf('/')) as Address)
    : undefined;
}
