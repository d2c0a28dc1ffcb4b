import { expect, test } from '@jest/globals';
import { allowedFlow, deniedFlow } from '../testing/samples.ts';
import { columns, noPaint } from '../text.ts';
import { flowLine, flowRow, parseFlow } from './line.ts';
import { namesOf, noNames } from './names.ts';
import { flowText } from './run.ts';

const pod = (name: string, ip: string, creationTimestamp: string, spec: object = {}) => ({
  metadata: { namespace: 'shop', name, creationTimestamp },
  spec,
  status: { podIPs: [{ ip }] },
});

const node = { metadata: { name: 'node1' }, status: { addresses: [{ address: '10.250.0.11' }] } };

const names = namesOf(
  [
    pod('frontend-old', '10.244.0.3', '2026-11-24T10:00:00Z'),
    pod('frontend-new', '10.244.0.3', '2026-11-24T16:00:00Z'),
    pod('weft-agent', '10.250.0.11', '2026-11-24T10:00:00Z', { hostNetwork: true }),
  ],
  [node],
);

test('a flow names both ends, the Service that was meant, the rule or the policies of the implicit deny', () => {
  expect(flowLine(parseFlow(allowedFlow), names)).toEqual({
    time: '2026-11-24T16:58:06.332Z',
    node: 'node2',
    event: 'new',
    verdict: 'forwarded',
    reason: 'policy-allowed',
    direction: 'ingress',
    protocol: 'TCP',
    source: { address: '10.244.0.3', port: 41598, namespace: 'shop', pod: 'frontend-new' },
    destination: { address: '10.244.1.2', port: 80, namespace: 'shop', pod: 'api-v2-b4647cdf8-t787b' },
    rule: { kind: 'CiliumClusterwideNetworkPolicy', namespace: '', name: 'cluster-only', index: 0 },
  });
  expect(flowLine(parseFlow(deniedFlow), noNames)).toMatchObject({
    verdict: 'dropped',
    destination: { address: 'fd00:10:244::4', port: 80 },
    service: { address: 'fd00:10:96::b378', port: 80 },
    defaultDeny: [{ kind: 'CiliumNetworkPolicy', namespace: 'shop', name: 'api-from-frontend' }],
  });
});

test('an address is that of the pod which had it then, of a node, or nobody knows', () => {
  expect(names.at('10.244.0.3', '2026-11-24T12:00:00Z')).toEqual({ namespace: 'shop', pod: 'frontend-old' });
  expect(names.at('10.244.0.3', '2026-11-24T09:00:00Z')).toBeUndefined();
  expect(names.at('10.250.0.11', '2026-11-24T12:00:00Z')).toEqual({ node: 'node1' });
  expect(names.at('203.0.113.1', '2026-11-24T12:00:00Z')).toBeUndefined();
});

test('the table says who, what and why; wide adds addresses, node and Service', () => {
  const allowed = flowLine(parseFlow(allowedFlow), names);
  expect(flowRow(allowed, false)).toEqual([
    '2026-11-24T16:58:06.332Z',
    'new',
    { text: 'forwarded', style: 'good' },
    'TCP',
    'shop/frontend-new:41598',
    'shop/api-v2-b4647cdf8-t787b:80',
    'policy-allowed',
    'CiliumClusterwideNetworkPolicy cluster-only, rule 0',
  ]);
  expect(columns([flowRow(flowLine(parseFlow(deniedFlow), noNames), true)])).toBe(
    '2026-11-24T16:55:01.464Z  drop  dropped  TCP  shop/stranger-78879d4479-5qbfh:58530 (fd00:10:244::5)  [fd00:10:244::4]:80  default-deny  CiliumNetworkPolicy shop/api-from-frontend  node1  [fd00:10:96::b378]:80',
  );
});

test('a cut connection is told as revoked', () => {
  const revoked = { ...parseFlow(allowedFlow), type: 'revoked', verdict: 'dropped' as const };
  expect(flowLine(revoked, noNames).verdict).toBe('revoked');
});

test('JSON is a line for each flow, YAML a document, a table has one header', () => {
  const both = [allowedFlow, deniedFlow].map((line) => flowLine(parseFlow(line), noNames));
  const json = flowText(both, 'json', noPaint).split('\n');
  expect(json.map((line) => JSON.parse(line) as unknown)).toEqual(both);
  expect(flowText(both, 'yaml', noPaint).match(/^---$/gm)).toHaveLength(2);
  expect(flowText(both, 'table', noPaint).split('\n')).toHaveLength(3);
});

test('a flow of another version is refused with the field', () => {
  expect(() => parseFlow('{"number":1}')).toThrow(/\(time: .*\): use the `weft` of its version/);
});
