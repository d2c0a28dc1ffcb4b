import { expect, test } from '@jest/globals';
import { noPaint } from '../text.ts';
import type { Side } from './combine.ts';
import type { ExplainedPair } from './run.ts';
import { because, explainText } from './text.ts';

const policy = { kind: 'NetworkPolicy', namespace: 'shop', name: 'deny' };
const egress: Side = { verdict: 'allowed', reason: 'no-policy', node: 'node1' };
const ingress: Side = { verdict: 'denied', reason: 'default-deny', node: 'node2', defaultDeny: [policy] };

const pair = (from: string, to: string): ExplainedPair => ({
  source: { name: 'shop/a', address: from },
  destination: { name: 'shop/b', address: to },
  protocol: 'TCP',
  port: 80,
  verdict: 'denied',
  egress,
  ingress,
  simulator: 'agrees',
});

test('families that are decided alike share a paragraph', () => {
  expect(explainText([pair('10.0.0.1', '10.0.0.2'), pair('fd00::1', 'fd00::2')], noPaint)).toBe(
    `shop/a (10.0.0.1, fd00::1) to shop/b (10.0.0.2, fd00::2), port 80/TCP: denied
  egress at node1: allowed, no policy selects shop/a for egress
  ingress at node2: denied, no rule allows it, and these deny what no rule allows: NetworkPolicy shop/deny`,
  );
});

test('families that are decided differently do not', () => {
  const other: ExplainedPair = {
    ...pair('fd00::1', 'fd00::2'),
    verdict: 'allowed',
    ingress: { ...egress, node: 'node2' },
  };
  expect(explainText([pair('10.0.0.1', '10.0.0.2'), other], noPaint).split('\n\n')).toHaveLength(2);
});

test.each<[Side, string]>([
  [
    { verdict: 'denied', reason: 'rule', rule: { ...policy, index: 2 } },
    'denied by NetworkPolicy shop/deny, ingress rule 2',
  ],
  [
    { verdict: 'denied', reason: 'rule', rule: { ...policy, index: 0, reason: 'HTTP rules' } },
    'denied by NetworkPolicy shop/deny, ingress rule 0 (HTTP rules)',
  ],
  [{ verdict: 'allowed', reason: 'rule' }, 'allowed by a rule that the agent does not know by name'],
  [{ verdict: 'allowed', reason: 'node-to-own-pod' }, 'allowed, a node may always reach its own pods'],
  [{ verdict: 'allowed', reason: 'not-a-pod' }, 'shop/b is no pod with a network of its own, so no policy is about it'],
])('%j', (side, sentence) => {
  expect(because(side, 'shop/b', 'ingress')).toBe(sentence);
});

test('verdicts are coloured, and a hostile reason is escaped', () => {
  const hostile: ExplainedPair = { ...pair('10.0.0.1', '10.0.0.2'), egress: { ...egress, node: 'n\u001b[2J' } };
  const text = explainText([hostile], (style, word) => `<${style} ${word}>`);
  expect(text).toContain(': <bad denied>\n');
  expect(text.replaceAll('\n', '')).not.toMatch(/\p{C}/u);
});
