import { expect, test } from '@jest/globals';
import { allowedFlow, deniedFlow, requestFlow } from '../testing/samples.ts';
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

const rule = { kind: 'CiliumNetworkPolicy', namespace: 'shop', name: 'api', index: 0 };

test('a request says what was asked, what the answer was, and by which rule', () => {
  const line = flowLine(parseFlow(requestFlow()), names);
  expect(line).toMatchObject({
    event: 'request',
    verdict: 'allowed',
    rule,
    http: { status: 200, path: '/api/v1/users' },
  });
  expect(flowRow(line, false)).toEqual([
    '2026-11-24T16:58:07.000Z',
    'request',
    { text: 'allowed', style: 'good' },
    'HTTP/1.1',
    'shop/frontend-new:41598',
    'shop/api-v2-b4647cdf8-t787b:80',
    'http-allowed GET /api/v1/users 200 3ms',
    'CiliumNetworkPolicy shop/api, rule 0',
  ]);
  expect(columns([flowRow(line, true)])).toMatch(/rule 0 {2}node2 {4}api {2}curl\/7\.88\.1$/);
});

test('a denied request says of which rules none matched', () => {
  const ingress = { noneOf: [0, 1].map((index) => ({ policy: 'CiliumNetworkPolicy/shop/api', index })) };
  const line = flowLine(parseFlow(requestFlow({ verdict: 'denied', reason: 'http-denied', ingress })), names);
  expect(line.noneOf).toEqual([rule, { ...rule, index: 1 }]);
  expect(flowRow(line, false).at(-1)).toBe(
    'none of CiliumNetworkPolicy shop/api, rule 0; CiliumNetworkPolicy shop/api, rule 1',
  );
});

test('a reason is explained where its name does not say enough', () => {
  const failed = { verdict: 'failed', reason: 'no-upstream', explanation: 'Envoy could not reach the server' };
  expect(flowRow(flowLine(parseFlow(requestFlow(failed)), names), false).at(-1)).toBe(
    'CiliumNetworkPolicy shop/api, rule 0: Envoy could not reach the server',
  );
  const proxied = { ...parseFlow(allowedFlow), reason: 'proxied', explanation: 'handed to Envoy' };
  expect(flowRow(flowLine(proxied, noNames), false).at(-1)).toContain('cluster-only, rule 0: handed to Envoy');
});

test('a hostile path is escaped in every format, and cut where the table is not wide', () => {
  const { http } = parseFlow(requestFlow());
  const line = flowLine(
    parseFlow(requestFlow({ http: { ...http, path: `/\u001b[2J\u202e${'x'.repeat(90)}` } })),
    names,
  );
  for (const format of ['table', 'wide', 'json', 'yaml'] as const) {
    expect(flowText([line], format, noPaint).replaceAll('\n', '')).not.toMatch(/\p{C}/u);
  }
  expect(flowText([line], 'table', noPaint)).toContain('x… 200 3ms');
  expect(flowText([line], 'wide', noPaint)).toContain(`${'x'.repeat(90)} 200 3ms`);
});
