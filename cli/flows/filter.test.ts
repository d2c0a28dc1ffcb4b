import { expect, test } from '@jest/globals';
import { agentFlags, type FlowFilter, fits, isAgents } from './filter.ts';
import type { FlowLine } from './line.ts';
import { Resume } from './resume.ts';

const line: FlowLine = {
  time: '2026-11-24T16:58:06.332Z',
  node: 'node2',
  event: 'new',
  verdict: 'forwarded',
  reason: 'no-policy',
  direction: 'ingress',
  protocol: 'TCP',
  source: { address: '203.0.113.1', port: 1 },
  destination: { address: '10.244.1.2', port: 80, namespace: 'shop', pod: 'frontend-66666f49-mfjgl' },
};

test.each<[FlowFilter, boolean]>([
  [{}, true],
  [{ pod: 'shop/frontend-66666f49-mfjgl' }, true],
  [{ pod: 'shop/frontend' }, true],
  [{ pod: 'frontend' }, true],
  [{ pod: 'other/frontend' }, false],
  [{ pod: 'shop/front-' }, false],
  [{ pod: 'shop/66666f49' }, false],
  [{ namespace: 'shop' }, true],
  [{ namespace: 'sho' }, false],
  [{ namespace: 'shop', pod: 'stranger' }, false],
])('%j fits the flow: %s', (filter, expected) => {
  expect(fits(line, filter)).toBe(expected);
});

test('agents sort out what they can tell; names of remote pods they can not', () => {
  expect(
    agentFlags({ pod: 'shop/x', namespace: 'shop', verdict: 'dropped', rule: '--x', protocol: 'udp', port: 53 }),
  ).toEqual(['--verdict=dropped', '--rule=--x', '--protocol=udp', '--port=53']);
  expect(agentFlags({ verdict: 'revoked' })).toEqual(['--type=revoked']);
  expect(agentFlags({ type: 'request', status: '4xx', method: 'GET', path: '--x' })).toEqual([
    '--type=request',
    '--status=4xx',
    '--method=GET',
    '--path=--x',
  ]);
  expect(isAgents({ verdict: 'dropped' })).toBe(true);
  expect(isAgents({ pod: 'shop/x' })).toBe(false);
});

test('an agent that is asked again tells nothing twice, even out of order, and a restarted one counts from 0', () => {
  const resume = new Resume(1_000);
  const at = (number: number, ms: number) => ({ number, time: new Date(ms).toISOString() });
  expect([at(5, 5_000), at(6, 4_999), at(7, 5_000)].map((flow) => resume.isNew(flow))).toEqual([true, true, true]);
  expect(resume.since).toBe(4_000);
  expect([at(6, 4_999), at(7, 5_000), at(8, 5_001)].map((flow) => resume.isNew(flow))).toEqual([false, false, true]);
  expect(resume.isNew(at(5, 6_000))).toBe(true);
});

test('what is remembered of told flows is bounded', () => {
  const resume = new Resume(0);
  for (let number = 0; number < 10_000; number++) resume.isNew({ number, time: new Date(number * 10).toISOString() });
  expect(resume.isNew({ number: 0, time: new Date(0).toISOString() })).toBe(true);
  expect(resume.isNew({ number: 9_999, time: new Date(99_990).toISOString() })).toBe(false);
});
