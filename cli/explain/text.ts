import { policyText, ruleText } from '../flows/line.ts';
import { type Paint, plain } from '../text.ts';
import type { Decision, Side } from './combine.ts';
import { matchText } from './http.ts';
import type { ExplainedPair } from './run.ts';

/** A paragraph for each pair of ends; families that are decided alike share one. */
export function explainText(pairs: readonly ExplainedPair[], paint: Paint): string {
  const groups = new Map<string, ExplainedPair[]>();
  for (const pair of pairs) {
    const { source, destination, port, egress, ingress } = pair;
    const key = JSON.stringify([source.name, destination.name, port, egress, ingress]);
    groups.set(key, [...(groups.get(key) ?? []), pair]);
  }
  return [...groups.values()].map((group) => paragraph(group, paint)).join('\n\n');
}

const STYLES = { allowed: 'good', denied: 'bad', 'by-request': 'warning' } as const;
const WORDS: Readonly<Record<Decision, string>> = {
  allowed: 'allowed',
  denied: 'denied',
  'by-request': 'it depends on the request',
};

function paragraph(group: readonly ExplainedPair[], paint: Paint): string {
  const [pair] = group;
  if (pair === undefined) return '';
  const { source, destination, port, protocol, request, verdict, egress, ingress } = pair;
  const end = (name: string, addresses: readonly string[]): string => {
    const shown = [...new Set(addresses)].filter((address) => address !== name);
    return shown.length === 0 ? name : `${name} (${shown.join(', ')})`;
  };
  const from = end(
    source.name,
    group.map((one) => one.source.address),
  );
  const to = end(
    destination.name,
    group.map((one) => one.destination.address),
  );
  const line = request === undefined ? '' : `, ${request.method} ${request.path}`;
  const where = protocol === 'ICMP' ? 'ICMP' : `port ${port}/${protocol}${line}`;
  return [
    `${plain(`${from} to ${to}, ${where}`)}: ${paint(STYLES[verdict], WORDS[verdict])}`,
    `  ${plain(`egress${at(egress)}: ${because(egress, source.name, 'egress')}`)}`,
    `  ${plain(`ingress${at(ingress)}: ${because(ingress, destination.name, 'ingress')}`)}`,
  ].join('\n');
}

const at = ({ node }: Side): string => (node === undefined ? '' : ` at ${node}`);

/** What decided, as a sentence. */
export function because(side: Side, name: string, direction: 'egress' | 'ingress'): string {
  switch (side.reason) {
    case 'rule':
      if (side.rule === undefined) return `${side.verdict} by a rule that the agent does not know by name`;
      return `${side.verdict} by ${policyText(side.rule)}, ${direction} rule ${side.rule.index}${
        side.rule.reason === undefined ? '' : ` (${side.rule.reason})`
      }`;
    case 'http':
      return becauseOfHttp(side);
    case 'default-deny': {
      const policies = (side.defaultDeny ?? []).map(policyText).join(', ');
      return `denied, no rule allows it, and these deny what no rule allows: ${policies || 'policies without a name'}`;
    }
    case 'no-policy':
      return `allowed, no policy selects ${name} for ${direction}`;
    case 'node-to-own-pod':
      return 'allowed, a node may always reach its own pods';
    case 'not-a-pod':
      return `${name} is no pod with a network of its own, so no policy is about it`;
  }
}

function becauseOfHttp({ verdict, rule, http = [] }: Side): string {
  const rules = http.map((one) => `${ruleText(one)} (${one.matches.map(matchText).join(' or ')})`).join('; ');
  if (verdict === 'allowed' && rule !== undefined) {
    const matches = http.find((one) => ruleText(one) === ruleText(rule))?.matches ?? [];
    return `allowed by ${ruleText(rule)} (${matches.map(matchText).join(' or ')})`;
  }
  if (verdict === 'denied') return `denied, Envoy answers 403, since none of these rules matches: ${rules}`;
  if (http.length === 0) return 'Envoy decides on each request, by rules that the agent does not know (yet)';
  return `Envoy decides on each request, by these rules: ${rules}`;
}
