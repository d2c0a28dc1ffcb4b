import { type Address, AddressKind as Kind } from '@weft/node-api';
import type { AddressKind, AddressRow } from 'bpf-loader-napi';
import { familyOf, maskedText } from './address.ts';
import { ResourceError } from './resource.ts';

const KINDS: ReadonlyMap<number, AddressKind> = new Map([
  [Kind.ADDRESS_KIND_WORLD, 'world'],
  [Kind.ADDRESS_KIND_POD, 'pod'],
  [Kind.ADDRESS_KIND_HOST, 'host'],
  [Kind.ADDRESS_KIND_REMOTE_NODE, 'remote-node'],
]);

/** @throws ResourceError where the prefix is none, or not the one in the name */
export function addressRow(name: string, { prefix, class: id, kind }: Address): AddressRow {
  const bytes = prefix?.address ?? new Uint8Array();
  const length = prefix?.length ?? 0;
  if (familyOf(bytes) === undefined || length > bytes.length * 8) throw new ResourceError(`${name} has no prefix`);
  const text = maskedText({ bytes, length });
  if (name !== `address/${text}`) throw new ResourceError(`${name} is about ${text}`);
  const kindName = KINDS.get(kind);
  if (kindName === undefined) throw new ResourceError(`${name} is of a kind that this agent does not know`);
  return { table: 'addresses', prefix: text, class: id, kind: kindName };
}
