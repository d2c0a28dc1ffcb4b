import { NodeResource } from '@weft/node-api';
import type { NodeFact } from '../facts.ts';
import { addressKind, type ClassRecord } from '../identity/class-table.ts';
import { type ParsedCidr, parseCidr } from '../net/address.ts';
import type { AddressBytes } from '../net/address-bytes.ts';
import type { PodRecord } from '../records.ts';

export function addressResource(prefix: ParsedCidr, record: ClassRecord): NodeResource {
  return {
    resource: {
      $case: 'address',
      value: {
        prefix: { address: prefix.bytes, length: prefix.length },
        class: record.id,
        kind: addressKind(record.kind),
      },
    },
  };
}

export function nodeResource(fact: NodeFact, bytes: AddressBytes): NodeResource {
  const podCidrs = fact.podCidrs.map((cidr) => parseCidr(cidr)).filter((parsed) => parsed !== undefined);
  return {
    resource: {
      $case: 'node',
      value: {
        name: fact.name,
        addresses: fact.addresses.map((address) => bytes.of(address)),
        podCidrs: podCidrs.map(({ bytes: address, length }) => ({ address, length })),
      },
    },
  };
}

/** undefined: the pod has no endpoint, because it is gone, not scheduled, or of the host network. */
export function endpointResource(pod: PodRecord, record: ClassRecord): NodeResource | undefined {
  const { fact } = pod;
  if (fact === undefined || fact.hostNetwork || fact.node === '') return undefined;
  return {
    resource: {
      $case: 'endpoint',
      value: {
        uid: fact.uid,
        namespace: fact.namespace,
        name: fact.name,
        serviceAccount: fact.serviceAccount,
        labels: fact.labels,
        policySet: pod.set?.id ?? 0n,
        class: record.id,
        proxy: fact.proxy,
      },
    },
  };
}

/** By content, without encoding them: pods change often. */
export function sameEndpoint(a: NodeResource, b: NodeResource): boolean {
  if (a.resource?.$case !== 'endpoint' || b.resource?.$case !== 'endpoint') return false;
  const [left, right] = [a.resource.value, b.resource.value];
  if (left.policySet !== right.policySet || left.class !== right.class || left.proxy !== right.proxy) return false;
  return left.labels === right.labels || sameResource(a, b);
}

export function sameResource(a: NodeResource | undefined, b: NodeResource | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  return Buffer.compare(NodeResource.encode(a).finish(), NodeResource.encode(b).finish()) === 0;
}
