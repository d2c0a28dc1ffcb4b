import { Direction, type PolicyEntry, type PolicySet, Protocol, Verdict } from '@weft/node-api';
import type { PolicyRow } from 'bpf-loader-napi';
import { hex64 } from './hash.ts';
import { ResourceError } from './resource.ts';
import { policyKey } from './rows.ts';

const VERDICTS: ReadonlyMap<number, PolicyRow['verdict']> = new Map([
  [Verdict.VERDICT_DENY, 'deny'],
  [Verdict.VERDICT_ALLOW, 'allow'],
  [Verdict.VERDICT_PROXY, 'proxy'],
]);

export const setName = (id: bigint): string => `policyset/${hex64(id)}`;

/** The id in a set's name; undefined for other names. */
export function setOfName(name: string): bigint | undefined {
  const digits = /^policyset\/([0-9a-f]{16})$/.exec(name)?.[1];
  return digits === undefined ? undefined : BigInt(`0x${digits}`);
}

/** The port of a listener in the proxies' network namespaces; undefined: none is left. */
export type PortOf = (listener: bigint) => number | undefined;

/** The listeners that a set's entries send connections to. */
export function listenersOf(set: Pick<PolicySet, 'entries'>): Set<bigint> {
  return new Set(set.entries.flatMap(({ listener }) => (listener === 0n ? [] : [listener])));
}

/**
 * Rows of a policy set.
 *
 * @throws ResourceError where one entry makes no sense: half a set might allow more than the whole
 */
export function policyRows(name: string, set: PolicySet, portOf: PortOf): PolicyRow[] {
  if (set.id === 0n || name !== setName(set.id)) throw new ResourceError(`${name} has the id ${hex64(set.id)}`);
  const rows = set.entries.map((entry, i) => policyRow(name, set.id, entry, i, portOf));
  if (new Set(rows.map(policyKey)).size !== rows.length) throw new ResourceError(`${name} has two entries of one key`);
  return rows;
}

function policyRow(name: string, set: bigint, entry: PolicyEntry, index: number, portOf: PortOf): PolicyRow {
  const { protocol, port, portBits, rule } = entry;
  const mask = (0xffff << (16 - portBits)) & 0xffff;
  const sound = protocol === 0 ? port === 0 && portBits === 0 : protocol < 256 && portBits <= 16 && port <= 0xffff;
  if (!sound || rule > 0xffff) throw new ResourceError(`entry ${index} of ${name} is out of range`);
  const verdict = VERDICTS.get(entry.verdict);
  if (verdict === undefined)
    throw new ResourceError(`entry ${index} of ${name} has a verdict that this agent does not know`);
  const proxyPort = verdict === 'proxy' ? portOfEntry(name, entry, index, portOf) : undefined;
  if (verdict !== 'proxy' && entry.listener !== 0n)
    throw new ResourceError(`entry ${index} of ${name} names a listener, and its verdict is ${verdict}`);
  return {
    table: 'policy',
    set,
    class: entry.class,
    direction: entry.direction === Direction.DIRECTION_INGRESS ? 'ingress' : 'egress',
    protocol,
    port: port & mask,
    portBits,
    verdict,
    rule,
    ...(proxyPort === undefined ? {} : { proxyPort }),
  };
}

/** A listener that Envoy has not, or not yet, has a port all the same: there connections are refused. */
function portOfEntry(name: string, { protocol, listener }: PolicyEntry, index: number, portOf: PortOf): number {
  if (listener === 0n) throw new ResourceError(`entry ${index} of ${name} is for Envoy and names no listener`);
  if (protocol !== Protocol.PROTOCOL_TCP) throw new ResourceError(`entry ${index} of ${name} is for Envoy and not TCP`);
  const port = portOf(listener);
  if (port === undefined) throw new ResourceError(`entry ${index} of ${name} is for Envoy, which has no port left`);
  return port;
}
