import { Protocol, Verdict } from '@weft/node-api';
import type { TransportProtocol } from '../facts.ts';

/** What one rule says about destination ports, both ends included. */
export interface PortRule {
  readonly protocol: TransportProtocol | 'ANY';
  readonly first: number;
  readonly last: number;
  readonly deny: boolean;
  /** It allows some requests only, so that Envoy has to look at them; TCP alone. */
  readonly http?: boolean;
  /** Position in the rules; among equals the first decides. */
  readonly rule: number;
}

/** One row of a table that is read by longest prefix match. */
export interface PortEntry {
  readonly protocol: Protocol;
  readonly port: number;
  readonly portBits: number;
  readonly verdict: Verdict;
  readonly rule: number;
  /** Of VERDICT_PROXY: all rules of which one has to allow a request, ascending; `rule` is the first. */
  readonly behind?: readonly number[];
}

type Decision = Pick<PortEntry, 'verdict' | 'rule' | 'behind'>;

/** Ports from `first` up to the next segment's. */
interface Segment {
  readonly first: number;
  readonly last: number;
  readonly decision: Decision | undefined;
}

const PROTOCOLS: readonly [TransportProtocol, Protocol][] = [
  ['TCP', Protocol.PROTOCOL_TCP],
  ['UDP', Protocol.PROTOCOL_UDP],
  ['SCTP', Protocol.PROTOCOL_SCTP],
];

const LAST_PORT = 65_535;

/**
 * Entries for one class and direction so that the longest match of protocol and port is the verdict: deny before
 * allow, allow before what only some requests may, then the first rule. Where no rule applies there is no entry, nor one with a shorter prefix.
 */
export function resolvePorts(rules: readonly PortRule[]): PortEntry[] {
  const entries: PortEntry[] = [];
  // What covers every port of every protocol also decides for protocols that have no ports.
  const background = decide(rules, coversEverything);
  if (background !== undefined) {
    entries.push({ protocol: Protocol.PROTOCOL_ANY, port: 0, portBits: 0, ...background });
  }
  for (const [name, protocol] of PROTOCOLS) {
    const concerns = (r: PortRule): boolean => r.protocol === name || r.protocol === 'ANY';
    if (!rules.some((r) => concerns(r) && !coversEverything(r))) continue;
    const relevant = rules.filter(concerns);
    const segments = segmentsOf(relevant);
    coverPrefix(segments, 0, 0, background, (port, portBits, decision) => {
      entries.push({ protocol, port, portBits, ...decision });
    });
  }
  return entries;
}

function coversEverything({ protocol, first, last }: PortRule): boolean {
  return protocol === 'ANY' && first === 0 && last === LAST_PORT;
}

/** Among the rules of which `concerns` holds. */
function decide(rules: readonly PortRule[], concerns: (rule: PortRule) => boolean): Decision | undefined {
  let best: PortRule | undefined;
  for (const rule of rules) {
    if (!concerns(rule)) continue;
    if (best === undefined || compare(rule, best) < 0) best = rule;
  }
  if (best === undefined) return undefined;
  if (weight(best) === PROXY) {
    const behind = rules.filter(concerns).map(({ rule }) => rule);
    return { verdict: Verdict.VERDICT_PROXY, rule: best.rule, behind: [...new Set(behind)].sort((a, b) => a - b) };
  }
  return { verdict: best.deny ? Verdict.VERDICT_DENY : Verdict.VERDICT_ALLOW, rule: best.rule };
}

const PROXY = 2;

function weight({ deny, http }: PortRule): number {
  return deny ? 0 : http === true ? PROXY : 1;
}

function compare(a: PortRule, b: PortRule): number {
  return weight(a) - weight(b) || a.rule - b.rule;
}

/** Cuts 0 to 65535 where any rule begins or ends; neighbours with the same decision are one segment. */
function segmentsOf(rules: readonly PortRule[]): Segment[] {
  const cuts = new Set([0]);
  for (const { first, last } of rules) {
    cuts.add(first);
    if (last < LAST_PORT) cuts.add(last + 1);
  }
  const starts = [...cuts].sort((a, b) => a - b);
  const segments: Segment[] = [];
  for (const [index, first] of starts.entries()) {
    const decision = decide(rules, (rule) => rule.first <= first && first <= rule.last);
    const last = (starts[index + 1] ?? LAST_PORT + 1) - 1;
    const before = segments.at(-1);
    if (before !== undefined && same(before.decision, decision)) {
      segments[segments.length - 1] = { ...before, last };
    } else {
      segments.push({ first, last, decision });
    }
  }
  return segments;
}

function same(a: Decision | undefined, b: Decision | undefined): boolean {
  return a?.verdict === b?.verdict && a?.rule === b?.rule && a?.behind?.join() === b?.behind?.join();
}

type Emit = (port: number, portBits: number, decision: Decision) => void;

/** Covers the ports that begin with the `bits` leading bits of `port`, where `inherited` decides so far. */
function coverPrefix(
  segments: readonly Segment[],
  port: number,
  bits: number,
  inherited: Decision | undefined,
  emit: Emit,
): void {
  const last = port + 2 ** (16 - bits) - 1;
  const inside = segments.filter((segment) => segment.first <= last && segment.last >= port);
  // Of two halves the one that needs no entry is taken for the rule.
  const share = (segment: Segment): number =>
    width(segment, port, last) + (same(segment.decision, inherited) ? 0.5 : 0);
  const widest = inside.reduce((a, b) => (share(a) >= share(b) ? a : b));
  // A prefix with a gap in it gets no entry of its own: nothing could take that back for the gap.
  const gap = inside.some(({ decision }) => decision === undefined);
  const decision = gap ? undefined : widest.decision;
  const chosen = decision ?? inherited;
  if (decision !== undefined && !same(decision, inherited)) emit(port, bits, decision);
  if (inside.length === 1) return;
  coverPrefix(inside, port, bits + 1, chosen, emit);
  coverPrefix(inside, port + 2 ** (15 - bits), bits + 1, chosen, emit);
}

function width(segment: Segment, first: number, last: number): number {
  return Math.min(segment.last, last) - Math.max(segment.first, first) + 1;
}
