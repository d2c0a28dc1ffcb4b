/** Why one may or may not talk to another, read from the kernel's own tables. */
import type { Datapath } from 'bpf-loader-napi';
import type { RuleName, RuleTables } from '../flows/rules.ts';
import type { LocalPod } from '../state/pod.ts';
import type { NodeTables } from '../state/tables.ts';
import { hex64 } from '../tables/hash.ts';
import { EGRESS_ENFORCED, INGRESS_ENFORCED } from '../tables/rows.ts';

export interface ExplainRequest {
  /** An address, or "namespace/name" of a pod of this node. */
  readonly source: string;
  readonly destination: string;
  /** IP protocol number. */
  readonly protocol: number;
  /** Destination port. */
  readonly port: number;
}

/** One direction at one local pod. */
export interface Explanation {
  readonly direction: 'ingress' | 'egress';
  readonly pod: string;
  readonly peer: string;
  readonly class: string;
  readonly kind: string;
  readonly set: string;
  readonly verdict: 'allow' | 'deny';
  readonly reason: 'rule' | 'default-deny' | 'no-policy';
  readonly rule?: RuleName;
  readonly defaultDeny?: readonly string[];
  /** The entry that decided: protocol, port and its leading bits. */
  readonly entry?: { readonly protocol: number; readonly port: number; readonly portBits: number };
}

type Lookup = Pick<Datapath, 'lookupAddress' | 'lookupPolicy'>;

/** Egress of the source and ingress of the destination, as far as they are pods of this node. */
export async function explain(
  request: ExplainRequest,
  tables: Pick<NodeTables, 'pods' | 'podAt'>,
  datapath: Lookup,
  rules: RuleTables,
): Promise<Explanation[]> {
  const source = findPod(tables.pods, request.source);
  const destination = findPod(tables.pods, request.destination);
  const result: Explanation[] = [];
  const judge = async (
    pod: LocalPod,
    direction: 'ingress' | 'egress',
    peerText: string,
    peer: LocalPod | undefined,
  ) => {
    const address = addressFor(peer, pod, peerText);
    const set = tables.podAt(pod.slot)?.row.set ?? 0n;
    result.push(await judgeOne({ ...request, direction, pod, peer: address, set }, datapath, rules));
  };
  if (source) await judge(source, 'egress', request.destination, destination);
  if (destination) await judge(destination, 'ingress', request.source, source);
  if (result.length === 0)
    throw new Error(`neither ${request.source} nor ${request.destination} is a pod of this node`);
  return result;
}

function findPod(pods: readonly LocalPod[], text: string): LocalPod | undefined {
  return pods.find(({ namespace, name, ipv4, ipv6 }) => [`${namespace}/${name}`, ipv4, ipv6].includes(text));
}

/** A pod by name has two addresses: the one of a family that both have. */
function addressFor(peer: LocalPod | undefined, pod: LocalPod, text: string): string {
  if (peer === undefined || text === peer.ipv4 || text === peer.ipv6) return text;
  const address = pod.ipv4 !== undefined && peer.ipv4 !== undefined ? peer.ipv4 : peer.ipv6;
  return address ?? text;
}

async function judgeOne(
  at: ExplainRequest & { direction: 'ingress' | 'egress'; pod: LocalPod; peer: string; set: bigint },
  datapath: Lookup,
  rules: RuleTables,
): Promise<Explanation> {
  const { direction, pod, peer, set, protocol, port } = at;
  const row = await datapath.lookupAddress(peer);
  const peerClass = row?.class ?? 0n;
  const entry =
    set === 0n ? undefined : await datapath.lookupPolicy({ set, class: peerClass, direction, protocol, port });
  const enforced = (set & (direction === 'ingress' ? INGRESS_ENFORCED : EGRESS_ENFORCED)) !== 0n;
  const rule = entry && rules.rule(set, entry.rule, Date.now());
  return {
    direction,
    pod: `${pod.namespace}/${pod.name}`,
    peer,
    class: hex64(peerClass),
    kind: row?.kind ?? 'unknown',
    set: hex64(set),
    verdict: entry?.verdict ?? (enforced ? 'deny' : 'allow'),
    reason: entry ? 'rule' : enforced ? 'default-deny' : 'no-policy',
    ...(rule ? { rule } : {}),
    ...(entry ? { entry: { protocol: entry.protocol, port: entry.port, portBits: entry.portBits } } : {}),
    ...(!entry && enforced ? { defaultDeny: rules.defaultDeny(set, direction, Date.now()) } : {}),
  };
}
