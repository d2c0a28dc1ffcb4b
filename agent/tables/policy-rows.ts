import { Direction, type PolicyEntry, type PolicySet, Verdict } from '@weft/node-api';
import type { PolicyRow } from 'bpf-loader-napi';
import { hex64 } from './hash.ts';
import { ResourceError } from './resource.ts';
import { policyKey } from './rows.ts';

export const setName = (id: bigint): string => `policyset/${hex64(id)}`;

/** The id in a set's name; undefined for other names. */
export function setOfName(name: string): bigint | undefined {
  const digits = /^policyset\/([0-9a-f]{16})$/.exec(name)?.[1];
  return digits === undefined ? undefined : BigInt(`0x${digits}`);
}

/**
 * Rows of a policy set.
 *
 * @throws ResourceError where one entry makes no sense: half a set might allow more than the whole
 */
export function policyRows(name: string, set: PolicySet): PolicyRow[] {
  if (set.id === 0n || name !== setName(set.id)) throw new ResourceError(`${name} has the id ${hex64(set.id)}`);
  const rows = set.entries.map((entry, i) => policyRow(name, set.id, entry, i));
  if (new Set(rows.map(policyKey)).size !== rows.length) throw new ResourceError(`${name} has two entries of one key`);
  return rows;
}

function policyRow(name: string, set: bigint, entry: PolicyEntry, index: number): PolicyRow {
  const { protocol, port, portBits, rule } = entry;
  const mask = (0xffff << (16 - portBits)) & 0xffff;
  const sound = protocol === 0 ? port === 0 && portBits === 0 : protocol < 256 && portBits <= 16 && port <= 0xffff;
  if (!sound || rule > 0xffff) throw new ResourceError(`entry ${index} of ${name} is out of range`);
  return {
    table: 'policy',
    set,
    class: entry.class,
    direction: entry.direction === Direction.DIRECTION_INGRESS ? 'ingress' : 'egress',
    protocol,
    port: port & mask,
    portBits,
    verdict: entry.verdict === Verdict.VERDICT_ALLOW ? 'allow' : 'deny',
    rule,
  };
}
