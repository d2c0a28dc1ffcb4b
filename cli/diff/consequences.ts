/** What another set of objects changes on nodes: policies, who may talk to whom, what Envoy is told. */
import {
  AddressKind,
  Direction,
  type NodeResource,
  type PolicyEntry,
  type PolicySet,
  Protocol,
  Verdict,
} from '@weft/node-api';
import { envoyObjects } from '../../charts/envoy-configuration.ts';
import type { Fact, PolicyState } from '../../reconcilers/index.ts';
import { formatAddress } from '../../reconcilers/net/address.ts';
import { toYaml } from '../output.ts';
import { type Compiled, compile, envoyResources } from '../render/compiled.ts';
import { unifiedDiff } from './lines.ts';

/** Paragraphs of text; none: nothing changes. */
export function consequences(before: readonly Fact[], after: readonly Fact[]): string[] {
  const [was, is] = [compile(before), compile(after)];
  return [...policyChanges(was, is), ...connectionChanges(was, is, [...before, ...after]), ...envoyChanges(was, is)];
}

function policyChanges(before: Compiled, after: Compiled): string[] {
  return [...new Set([...before.policies.keys(), ...after.policies.keys()])].sort().flatMap((key) => {
    const [was, is] = [before.policies.get(key), after.policies.get(key)];
    const [old, now] = [policyText(was), policyText(is)];
    if (old.join('\n') === now.join('\n')) return [];
    if (is === undefined) return [`${key} is gone: it selected ${selection(was)}`];
    const known = new Set(old);
    const told = now.slice(1).filter((line) => !known.has(line));
    const gone = old.slice(1).filter((line) => !now.includes(line));
    const first = was === undefined ? `${key} is new: it selects ${selection(is)}` : changedSelection(key, was, is);
    return [[first, ...told.map((line) => `  ${line}`), ...gone.map((line) => `  no longer: ${line}`)].join('\n')];
  });
}

function changedSelection(key: string, was: PolicyState, is: PolicyState): string {
  const [old, now] = [selection(was), selection(is)];
  return old === now ? `${key} selects ${now}, as before` : `${key} selects ${now} (before: ${old})`;
}

/** The selection, then what is said about the policy. */
function policyText(state: PolicyState | undefined): string[] {
  if (state === undefined) return [''];
  return [
    selection(state),
    ...state.problems.map(
      ({ severity, field, message }) => `${severity}: ${field === '' ? '' : `${field}: `}${message}`,
    ),
    ...state.ineffective.map(({ message }) => `warning: ${message}.`),
  ];
}

function selection(state: PolicyState | undefined): string {
  if (state === undefined || state.pods === 0) return 'no pods';
  const pods = state.pods === 1 ? '1 pod' : `${state.pods} pods`;
  const nodes = [...state.sets.keys()].sort();
  return nodes.length === 0 ? pods : `${pods} on ${some(nodes)}`;
}

const MOST = 6;

function some(names: readonly string[]): string {
  return names.length <= MOST ? names.join(', ') : `${names.slice(0, MOST).join(', ')} and ${names.length - MOST} more`;
}

/** What a node holds of its own or shares with all others, indexed. */
interface View {
  /** By namespace/name: id of the policy set. */
  readonly pods: ReadonlyMap<string, bigint>;
  readonly sets: ReadonlyMap<bigint, PolicySet>;
  /** Single addresses by their text. */
  readonly exact: ReadonlyMap<string, Peer>;
  /** Longest first. */
  readonly ranges: readonly Peer[];
}

interface Peer {
  readonly text: string;
  readonly address: Buffer;
  readonly length: number;
  readonly class: bigint;
  readonly kind: AddressKind;
}

function viewOf(held: ReadonlyMap<string, NodeResource> | undefined): View {
  const pods = new Map<string, bigint>();
  const sets = new Map<bigint, PolicySet>();
  const exact = new Map<string, Peer>();
  const ranges: Peer[] = [];
  for (const { resource } of held?.values() ?? []) {
    if (resource?.$case === 'endpoint') {
      pods.set(`${resource.value.namespace}/${resource.value.name}`, resource.value.policySet);
    } else if (resource?.$case === 'policySet') sets.set(resource.value.id, resource.value);
    else if (resource?.$case === 'address' && resource.value.prefix !== undefined) {
      const { prefix, class: record, kind } = resource.value;
      const full = prefix.length === prefix.address.length * 8;
      const text = `${formatAddress(prefix.address)}${full ? '' : `/${prefix.length}`}`;
      const peer = { text, ...prefix, class: record, kind };
      if (full) exact.set(text, peer);
      else ranges.push(peer);
    }
  }
  return { pods, sets, exact, ranges: ranges.sort((a, b) => b.length - a.length) };
}

/** By longest prefix, as in the kernel; of equal prefixes the node's own counts. */
function classOf(own: View, shared: View, peer: Peer): bigint | undefined {
  const exact = own.exact.get(peer.text) ?? shared.exact.get(peer.text);
  if (exact !== undefined) return exact.class;
  const [mine, all] = [own, shared].map(({ ranges }) => ranges.find((range) => contains(range, peer)));
  return mine !== undefined && mine.length >= (all?.length ?? 0) ? mine.class : all?.class;
}

function contains({ address, length }: Peer, inner: Peer): boolean {
  if (address.length !== inner.address.length || length > inner.length) return false;
  const whole = length >> 3;
  if (!address.subarray(0, whole).equals(inner.address.subarray(0, whole))) return false;
  const rest = length & 7;
  return rest === 0 || ((address[whole] ?? 0) ^ (inner.address[whole] ?? 0)) >> (8 - rest) === 0;
}

interface Group {
  readonly change: string;
  readonly direction: DirectionName;
  readonly peers: readonly string[];
  readonly pods: Set<string>;
}

/** Whom pods may talk to, or who may talk to them, where that becomes another; of pods that are there before and after. */
function connectionChanges(before: Compiled, after: Compiled, facts: readonly Fact[]): string[] {
  const names = addressNames(facts);
  const groups = new Map<string, Group>();
  const shared = [viewOf(before.shared), viewOf(after.shared)] as const;
  const others = sharedPeers(...shared);
  for (const node of new Set([...before.nodes.keys(), ...after.nodes.keys()])) {
    const own = [viewOf(before.nodes.get(node)), viewOf(after.nodes.get(node))] as const;
    const peers = ownPeers(own, shared, others);
    for (const [pair, pods] of setPairs(...own)) {
      for (const direction of ['ingress', 'egress'] as const) {
        for (const [change, changed] of peerChanges(own, peers, pair, direction)) {
          const shown = [...new Set(changed.map((peer) => peerName(peer, names)))].sort();
          const key = JSON.stringify([direction, change, shown]);
          const group = groups.get(key) ?? { change, pods: new Set(), peers: shown, direction };
          for (const pod of pods) group.pods.add(pod);
          groups.set(key, group);
        }
      }
    }
  }
  return [...groups.values()]
    .map(({ change, pods, peers, direction }) => {
      const way = direction === 'ingress' ? 'from' : 'to';
      return `${some([...pods].sort())}, ${direction} ${way} ${some(peers)}:\n${change}`;
    })
    .sort();
}

/** Peers that are of one class before, and of one after. */
interface Alike {
  readonly before: bigint | undefined;
  readonly after: bigint | undefined;
  readonly peers: readonly Peer[];
}

type Both = readonly [before: View, after: View];

function alike(
  peers: Iterable<Peer>,
  classes: (peer: Peer) => readonly [bigint | undefined, bigint | undefined],
): Alike[] {
  const found = new Map<string, Alike & { readonly peers: Peer[] }>();
  for (const peer of peers) {
    const [before, after] = classes(peer);
    const key = `${before} ${after}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, { before, after, peers: [peer] });
    else known.peers.push(peer);
  }
  return [...found.values()];
}

const peersOf = (views: readonly View[]): Map<string, Peer> =>
  new Map(views.flatMap(({ exact, ranges }) => [...exact.values(), ...ranges]).map((peer) => [peer.text, peer]));

/** The same for all nodes but for what these have of their own, so that there are few groups, however large. */
function sharedPeers(before: View, after: View): Alike[] {
  return alike(peersOf([before, after]).values(), (peer) => [
    classOf(NOTHING, before, peer),
    classOf(NOTHING, after, peer),
  ]);
}

const NOTHING: View = { pods: new Map(), sets: new Map(), exact: new Map(), ranges: [] };

function ownPeers(own: Both, shared: Both, others: readonly Alike[]): Alike[] {
  const mine = peersOf(own);
  const hidden = others.map(({ peers, ...rest }) => ({ ...rest, peers: peers.filter(({ text }) => !mine.has(text)) }));
  const classes = (peer: Peer) => [classOf(own[0], shared[0], peer), classOf(own[1], shared[1], peer)] as const;
  return [...hidden.filter(({ peers }) => peers.length > 0), ...alike(mine.values(), classes)];
}

type DirectionName = 'ingress' | 'egress';
type SetPair = readonly [bigint, bigint];

function setPairs(was: View, is: View): [SetPair, string[]][] {
  const found = new Map<string, [SetPair, string[]]>();
  for (const [pod, set] of was.pods) {
    const other = is.pods.get(pod);
    if (other === undefined) continue;
    const key = `${set} ${other}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, [[set, other], [pod]]);
    else known[1].push(pod);
  }
  return [...found.values()];
}

/** Peers by what changes for them. */
function peerChanges(
  [was, is]: Both,
  peers: readonly Alike[],
  [old, now]: SetPair,
  direction: DirectionName,
): Map<string, Peer[]> {
  const changes = new Map<string, Peer[]>();
  for (const one of peers) {
    const first = allowedText(was, old, one.before, direction);
    const second = allowedText(is, now, one.after, direction);
    if (first === second) continue;
    const change = `- ${first}\n+ ${second}`;
    changes.set(change, [...(changes.get(change) ?? []), ...one.peers]);
  }
  return changes;
}

const VERDICTS = {
  [Verdict.VERDICT_ALLOW]: 'allowed',
  [Verdict.VERDICT_DENY]: 'denied',
  [Verdict.VERDICT_PROXY]: 'by request',
} as const;

/** As `80/TCP by request (l7/0123…), all else denied`. */
function allowedText({ sets }: View, set: bigint, record: bigint | undefined, direction: DirectionName): string {
  const wanted = direction === 'ingress' ? Direction.DIRECTION_INGRESS : Direction.DIRECTION_EGRESS;
  const enforced = (set & (direction === 'ingress' ? 1n : 2n)) !== 0n;
  const entries = (sets.get(set)?.entries ?? []).filter(
    (entry) => entry.class === record && entry.direction === wanted,
  );
  const every = entries.find(({ protocol, portBits }) => protocol === Protocol.PROTOCOL_ANY && portBits === 0);
  const rest = every === undefined ? (enforced ? 'denied' : 'allowed') : verdictText(every);
  const shown = entries.filter((entry) => entry !== every && verdictText(entry) !== rest);
  const list = shown.map((entry) => `${portText(entry)} ${verdictText(entry)}`);
  return [...list, `${list.length === 0 ? 'all' : 'all else'} ${rest}`].join(', ');
}

/** Other listeners for the same rules' names do not come about, so that the listener says which rules. */
function verdictText({ verdict, listener }: PolicyEntry): string {
  return `${VERDICTS[verdict as keyof typeof VERDICTS] ?? verdict}${listener === 0n ? '' : ` (l7/${listener.toString(16).padStart(16, '0')})`}`;
}

const PROTOCOLS: Readonly<Record<number, string>> = {
  [Protocol.PROTOCOL_ICMP]: 'ICMP',
  [Protocol.PROTOCOL_TCP]: 'TCP',
  [Protocol.PROTOCOL_UDP]: 'UDP',
  [Protocol.PROTOCOL_ICMPV6]: 'ICMPv6',
  [Protocol.PROTOCOL_SCTP]: 'SCTP',
};

function portText({ protocol, port, portBits }: PolicyEntry): string {
  const last = port + 2 ** (16 - portBits) - 1;
  const name = PROTOCOLS[protocol] ?? 'any protocol';
  if (portBits === 0) return name;
  return `${port === last ? port : `${port}-${last}`}/${name}`;
}

/** Names of addresses and pod CIDRs. */
function addressNames(facts: readonly Fact[]): Map<string, string> {
  const names = new Map([
    ['0.0.0.0/0', 'world (IPv4)'],
    ['::/0', 'world (IPv6)'],
  ]);
  for (const fact of facts) {
    if (fact.kind === 'node') {
      for (const address of fact.addresses) names.set(address, `node ${fact.name}`);
      for (const cidr of fact.podCidrs) names.set(cidr, `other addresses of pods on ${fact.name}`);
    } else if (fact.kind === 'pod' && !fact.hostNetwork) {
      for (const address of fact.addresses) names.set(address, `${fact.namespace}/${fact.name}`);
    }
  }
  return names;
}

function peerName({ text, kind }: Peer, names: ReadonlyMap<string, string>): string {
  return names.get(text) ?? (kind === AddressKind.ADDRESS_KIND_HOST ? `this node (${text})` : text);
}

function envoyChanges(before: Compiled, after: Compiled): string[] {
  const [was, is] = [envoyTexts(before), envoyTexts(after)];
  return [...new Set([...was.keys(), ...is.keys()])].sort().flatMap((name) => {
    const [old, now] = [was.get(name), is.get(name)];
    if (old?.text === now?.text) {
      if (old === undefined || now === undefined || old.nodes.join() === now.nodes.join()) return [];
      return [`Envoy's ${name}: on ${some(now.nodes)} (before: ${some(old.nodes)})`];
    }
    if (old === undefined) return [`Envoy's ${name}: new on ${some(now?.nodes ?? [])}${now?.said ?? ''}`];
    if (now === undefined) return [`Envoy's ${name}: gone from ${some(old.nodes)}`];
    const shown = unifiedDiff({ name: 'before', text: old.text }, { name: 'after', text: now.text }) ?? '';
    return [`Envoy's ${name}: changes on ${some(now.nodes)}\n${shown}`];
  });
}

interface EnvoyText {
  readonly text: string;
  readonly nodes: readonly string[];
  readonly said: string;
}

function envoyTexts(compiled: Compiled): Map<string, EnvoyText> {
  return new Map(
    envoyResources(compiled).map(({ annotations, ...resource }) => {
      const [object] = envoyObjects([{ ...resource, annotations: {} }]);
      const { 'weft.dev/pods': pods, 'weft.dev/connections': connections, 'weft.dev/rules': rules } = annotations;
      const said = pods === undefined ? '' : `: ${connections} of ${some(pods.split(', '))}, decided by ${rules}`;
      const holders = (annotations['weft.dev/nodes'] ?? '').split(', ');
      const name = `${resource.type.split('.').at(-1)} ${resource.name}`;
      return [name, { text: toYaml(object), nodes: holders, said }];
    }),
  );
}
