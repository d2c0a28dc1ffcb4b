/** Why one may or may not talk to another, read from the kernel's own tables. */
import type { BackendSetRow, Datapath, ServiceRow } from 'bpf-loader-napi';
import type { HttpListener, RuleName, RuleTables } from '../flows/rules.ts';
import type { LocalPod } from '../state/pod.ts';
import type { NodeTables } from '../state/tables.ts';
import { addressText, parseAddress } from '../tables/address.ts';
import { hex64 } from '../tables/hash.ts';
import { EGRESS_ENFORCED, INGRESS_ENFORCED, QUARANTINE_SET } from '../tables/rows.ts';

export interface ExplainRequest {
  /** An address of anybody, or "namespace/name" of a pod of this node. */
  readonly source: string;
  /** The same; with the port of a Service it stands for each of its backends. */
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
  /** The pod's row is in the kernel and the programs are attached to its device: the verdict is what packets get. */
  readonly enforced: boolean;
  readonly verdict: 'allow' | 'deny' | 'proxy';
  readonly reason: 'rule' | 'default-deny' | 'no-policy' | 'node-to-own-pod';
  readonly rule?: RuleName;
  readonly defaultDeny?: readonly string[];
  /** The entry that decided: protocol, port and its leading bits. */
  readonly entry?: { readonly protocol: number; readonly port: number; readonly portBits: number };
  /** verdict proxy: what Envoy decides by. Absent where the operator did not say it (yet). */
  readonly listener?: { readonly id: string; readonly rules: HttpListener['rules'] };
}

type Lookup = Pick<Datapath, 'lookupAddress' | 'lookupPolicy' | 'dump' | 'attachedPods'>;

/**
 * Egress of the source and ingress of the destination, as far as they are pods of this node. Policies are about what is
 * behind a Service, so its address and port give the decisions for each backend.
 *
 * @throws Error with a sentence where neither end is such a pod, or the Service has no backends
 */
export async function explain(
  asked: ExplainRequest,
  tables: Pick<NodeTables, 'pods'>,
  datapath: Lookup,
  rules: RuleTables,
): Promise<Explanation[]> {
  const request = { ...asked, source: canonical(asked.source), destination: canonical(asked.destination) };
  const backends = await backendsBehind(request, tables.pods, datapath);
  if (backends === undefined) return explainDirect(request, tables.pods, datapath, rules);
  if (backends.length === 0)
    throw new Error(`the Service at ${request.destination} port ${request.port} has no backends: it refuses everybody`);
  const all: Explanation[] = [];
  for (const { address, port } of backends)
    all.push(...(await explainDirect({ ...request, destination: address, port }, tables.pods, datapath, rules)));
  return all;
}

async function explainDirect(
  request: ExplainRequest,
  pods: readonly LocalPod[],
  datapath: Lookup,
  rules: RuleTables,
): Promise<Explanation[]> {
  const source = findPod(pods, request.source);
  const destination = findPod(pods, request.destination);
  const result: Explanation[] = [];
  const judge = async (
    pod: LocalPod,
    direction: 'ingress' | 'egress',
    peerText: string,
    peer: LocalPod | undefined,
  ) => {
    const address = addressFor(peer, pod, peerText);
    result.push(await judgeOne({ ...request, direction, pod, peer: address }, datapath, rules));
  };
  if (source) await judge(source, 'egress', request.destination, destination);
  if (destination) await judge(destination, 'ingress', request.source, source);
  if (result.length === 0)
    throw new Error(`neither ${request.source} nor ${request.destination} is a pod of this node`);
  return result;
}

/** IPv6 has several spellings. */
function canonical(text: string): string {
  const bytes = parseAddress(text);
  return bytes === undefined ? text : addressText(bytes);
}

/** Undefined: this is no Service. */
async function backendsBehind(
  { destination, port, protocol }: ExplainRequest,
  pods: readonly LocalPod[],
  datapath: Lookup,
): Promise<BackendSetRow['backends'] | undefined> {
  if (parseAddress(destination) === undefined || findPod(pods, destination) !== undefined) return undefined;
  const service = (await datapath.dump('services')).find(
    (row): row is ServiceRow =>
      row.table === 'services' &&
      row.scope === 'internal' &&
      row.address === destination &&
      row.port === port &&
      row.protocol === protocol,
  );
  if (service === undefined) return undefined;
  const sets = await datapath.dump('backends');
  return sets.flatMap((row) => (row.table === 'backends' && row.set === service.backends ? row.backends : []));
}

/** What the kernel holds for the pod. */
async function podInKernel({ slot, ifindex }: LocalPod, datapath: Lookup): Promise<{ set: bigint; enforced: boolean }> {
  const row = (await datapath.dump('pods')).find((one) => one.table === 'pods' && one.slot === slot);
  const present = row?.table === 'pods' && row.ifindex === ifindex;
  const attached = await datapath.attachedPods();
  return { set: present ? row.set : QUARANTINE_SET, enforced: present && attached.includes(ifindex) };
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
  at: ExplainRequest & { direction: 'ingress' | 'egress'; pod: LocalPod; peer: string },
  datapath: Lookup,
  rules: RuleTables,
): Promise<Explanation> {
  const { direction, pod, peer, protocol, port } = at;
  const { set, enforced } = await podInKernel(pod, datapath);
  const row = await datapath.lookupAddress(peer);
  const peerClass = row?.class ?? 0n;
  const seen = {
    direction,
    pod: `${pod.namespace}/${pod.name}`,
    peer,
    class: hex64(peerClass),
    kind: row?.kind ?? 'unknown',
    set: hex64(set),
    enforced,
  };
  // The program for packets to pods asks this before any policy (`decide` in policy.h).
  if (direction === 'ingress' && row?.kind === 'host') return { ...seen, verdict: 'allow', reason: 'node-to-own-pod' };
  const entry =
    set === 0n ? undefined : await datapath.lookupPolicy({ set, class: peerClass, direction, protocol, port });
  const selected = (set & (direction === 'ingress' ? INGRESS_ENFORCED : EGRESS_ENFORCED)) !== 0n;
  const rule = entry && rules.rule(set, entry.rule, Date.now());
  const listener =
    entry?.verdict === 'proxy'
      ? rules.listenerOf(set, { ...entry, direction: direction === 'ingress' ? 0 : 1 }, Date.now())
      : undefined;
  return {
    ...seen,
    verdict: entry?.verdict ?? (selected ? 'deny' : 'allow'),
    reason: entry ? 'rule' : selected ? 'default-deny' : 'no-policy',
    ...(rule ? { rule } : {}),
    ...(entry ? { entry: { protocol: entry.protocol, port: entry.port, portBits: entry.portBits } } : {}),
    ...(listener ? { listener: { id: hex64(listener.id), rules: listener.rules } } : {}),
    ...(!entry && selected ? { defaultDeny: rules.defaultDeny(set, direction, Date.now()) } : {}),
  };
}
