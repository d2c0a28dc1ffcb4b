import { describe, expect, test } from '@jest/globals';
import type { Fact } from '../../reconcilers/index.ts';
import { translate } from '../../sources/index.ts';
import { explained } from '../testing/samples.ts';
import { disagreements } from './check.ts';
import { combine, notAPod, parseSide, type Side } from './combine.ts';
import { addressPairs, resolveDestination, resolveSource } from './resolve.ts';
import { parseDestination, parseTarget } from './target.ts';

const pod = (
  name: string,
  ips: readonly string[],
  more: { app?: string; spec?: object; status?: object; meta?: object } = {},
) => ({
  metadata: { namespace: 'shop', name, uid: name, labels: { app: more.app ?? 'api' }, ...more.meta },
  spec: {
    nodeName: 'node1',
    containers: [
      {
        ports: [
          { name: 'http', containerPort: 80 },
          { name: 'dns', containerPort: 53, protocol: 'UDP' },
        ],
      },
    ],
    ...more.spec,
  },
  status: { phase: 'Running', podIPs: ips.map((ip) => ({ ip })), ...more.status },
});

const slice = (name: string, addressType: string, endpoints: readonly object[]) => ({
  metadata: { namespace: 'shop', name, labels: { 'kubernetes.io/service-name': 'api' } },
  addressType,
  ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  endpoints,
});

const facts: Fact[] = (
  [
    ['Namespace', { metadata: { name: 'shop', labels: {} } }],
    [
      'Node',
      {
        metadata: { name: 'node1' },
        spec: { podCIDRs: ['10.244.0.0/24', 'fd00:10:244::/64'] },
        status: { addresses: [{ type: 'InternalIP', address: '10.250.0.11' }] },
      },
    ],
    ['Pod', pod('frontend-1', ['10.244.0.3', 'fd00:10:244::3'], { app: 'frontend' })],
    ['Pod', pod('api-1', ['10.244.0.4', 'fd00:10:244::4'])],
    ['Pod', pod('api-2', ['10.244.0.5'])],
    ['Pod', pod('proxy', ['10.250.0.11'], { spec: { nodeName: 'node1', hostNetwork: true } })],
    ['Pod', pod('job-1', ['10.244.0.9'], { status: { phase: 'Succeeded' } })],
    ['Pod', pod('new', [], { spec: { nodeName: '' } })],
    [
      'Pod',
      pod('going', ['10.244.0.5'], {
        meta: { creationTimestamp: '2026-11-24T15:00:00Z', deletionTimestamp: '2026-11-24T16:00:00Z' },
      }),
    ],
    [
      'Service',
      {
        metadata: { namespace: 'shop', name: 'api' },
        spec: { clusterIPs: ['10.96.0.7', 'fd00:10:96::7'], ports: [{ name: 'http', port: 8080, targetPort: 'http' }] },
      },
    ],
    [
      'EndpointSlice',
      slice('api-4', 'IPv4', [
        { addresses: ['10.244.0.4'] },
        { addresses: ['10.244.0.5'] },
        { addresses: ['10.244.0.77'], conditions: { ready: false } },
        { addresses: ['10.244.0.78'], conditions: { ready: false, serving: true, terminating: true } },
      ]),
    ],
    ['EndpointSlice', slice('api-6', 'IPv6', [{ addresses: ['fd00:10:244::4'] }])],
    [
      'CiliumNetworkPolicy',
      {
        metadata: { namespace: 'shop', name: 'api-from-frontend' },
        spec: {
          endpointSelector: { matchLabels: { app: 'api' } },
          ingress: [
            {
              fromEndpoints: [{ matchLabels: { app: 'frontend' } }],
              toPorts: [{ ports: [{ port: '80', protocol: 'TCP' }] }],
            },
          ],
        },
      },
    ],
  ] as const
).flatMap(([kind, object]) => translate(kind, object).facts);

const source = (text: string) => resolveSource(parseTarget(text, 'shop'), facts);
const destination = (text: string, protocol?: string) =>
  resolveDestination(
    parseDestination(text, { namespace: 'shop', ...(protocol === undefined ? {} : { protocol }) }),
    facts,
  );

describe('resolve', () => {
  test('a pod, the same by its address, a pod of the host network, a node and anybody else', () => {
    const frontend = { name: 'shop/frontend-1', addresses: ['10.244.0.3', 'fd00:10:244::3'], node: 'node1' };
    expect(source('frontend-1')).toEqual(frontend);
    expect(source('10.244.0.3')).toEqual({ ...frontend, addresses: ['10.244.0.3'] });
    expect(source('proxy')).toEqual({ name: 'shop/proxy (host network of node1)', addresses: ['10.250.0.11'] });
    expect(source('10.250.0.11')).toEqual({ name: 'node node1', addresses: ['10.250.0.11'] });
    expect(source('node/node1').addresses).toEqual(['10.250.0.11']);
    expect(source('203.0.113.1')).toEqual({ name: '203.0.113.1', addresses: ['203.0.113.1'] });
  });

  test('an address that a pod leaves is that of the pod which stays', () => {
    expect(source('10.244.0.5').name).toBe('shop/api-2');
  });

  test.each(['svc/api:8080', 'svc/api:http'])('%s is its ready endpoints with their own port', (text) => {
    expect(destination(text)).toEqual([
      { party: { name: 'shop/api-1', addresses: ['10.244.0.4', 'fd00:10:244::4'], node: 'node1' }, port: 80 },
      { party: { name: 'shop/api-2', addresses: ['10.244.0.5'], node: 'node1' }, port: 80 },
    ]);
  });

  test("a Service's address is its endpoints of that family", () => {
    expect(destination('[fd00:10:96::7]:8080')).toEqual([
      { party: { name: 'shop/api-1', addresses: ['fd00:10:244::4'], node: 'node1' }, port: 80 },
    ]);
  });

  test('a port by the name that the pod gives it', () => {
    expect(destination('api-1:dns/udp')[0]?.port).toBe(53);
    expect(destination('10.244.0.4:http')[0]?.port).toBe(80);
    expect(destination('api-1', 'icmp')[0]?.port).toBe(0);
  });

  test.each([
    ['front', 'there is no pod shop/front: did you mean shop/frontend-1?'],
    ['nothing', 'there is no pod shop/nothing: kubectl get pods -n shop'],
    ['job-1', 'pod shop/job-1 has ended'],
    ['new', 'pod shop/new has no address yet'],
    ['svc/api', 'Service shop/api starts no connections'],
    ['node/node9', 'there is no node node9'],
  ])('%s as a source: %s', (text, message) => {
    expect(() => source(text)).toThrow(message);
  });

  test.each([
    ['svc/nothing:80', 'there is no Service shop/nothing'],
    ['svc/api:81', 'Service shop/api has no TCP port 81: it has 8080/TCP (http)'],
    ['svc/api:8080/udp', 'Service shop/api has no UDP port 8080'],
    ['api-1:dns', 'pod shop/api-1 has no TCP port named dns: http (80/TCP), dns (53/UDP)'],
    ['203.0.113.1:http', '203.0.113.1 has no TCP port named http: use a number'],
  ])('%s as a destination: %s', (text, message) => {
    expect(() => destination(text)).toThrow(message);
  });

  test('two ends talk by each family that both have', () => {
    const [api1, api2] = destination('svc/api:8080');
    if (!api1 || !api2) throw new Error('two endpoints were expected');
    expect(addressPairs(source('frontend-1'), api1.party)).toEqual([
      { from: '10.244.0.3', to: '10.244.0.4' },
      { from: 'fd00:10:244::3', to: 'fd00:10:244::4' },
    ]);
    expect(addressPairs(source('fd00:10:244::3'), api2.party)).toEqual([]);
  });
});

const side = (decision: object) => parseSide(explained(decision), 'ingress', 'node2');
const denied = side({
  verdict: 'deny',
  reason: 'default-deny',
  rule: undefined,
  defaultDeny: ['NetworkPolicy/shop/deny'],
});

describe('the verdict', () => {
  const allowed: Side = { verdict: 'allowed', reason: 'no-policy', node: 'node1' };

  test('is allowed only if both ends allow', () => {
    expect(combine(allowed, side({})).verdict).toBe('allowed');
    expect(combine(notAPod, side({})).verdict).toBe('allowed');
    expect(combine(allowed, denied).verdict).toBe('denied');
    expect(combine({ ...denied }, notAPod).verdict).toBe('denied');
  });

  test('carries the rule, or the policies of the implicit deny', () => {
    expect(side({})).toEqual({
      verdict: 'allowed',
      reason: 'rule',
      node: 'node2',
      rule: { kind: 'CiliumClusterwideNetworkPolicy', namespace: '', name: 'cluster-only', index: 0 },
    });
    expect(denied).toMatchObject({
      verdict: 'denied',
      defaultDeny: [{ kind: 'NetworkPolicy', namespace: 'shop', name: 'deny' }],
    });
  });

  test('says where the other end is the own node, which needs no rule', () => {
    expect(side({ verdict: 'allow', reason: 'node-to-own-pod', rule: undefined })).toEqual({
      verdict: 'allowed',
      reason: 'node-to-own-pod',
      node: 'node2',
    });
  });

  test('an answer of another version, or none for this direction, is refused', () => {
    expect(() => parseSide({ decisions: [{}] }, 'ingress', 'node2')).toThrow(/node2's agent is not understood/);
    expect(() => parseSide(explained({}), 'egress', 'node2')).toThrow(/no egress decision/);
  });
});

describe('the cross-check', () => {
  const allows: Side = { verdict: 'allowed', reason: 'no-policy', node: 'node1' };
  const denies: Side = { ...allows, verdict: 'denied', reason: 'default-deny' };
  const toApi = { from: '10.244.0.3', to: '10.244.0.4', port: 80, protocol: 'TCP' } as const;

  test('is silent where the kernel does what the objects say', () => {
    expect(disagreements(facts, toApi, combine(allows, allows))).toEqual([]);
    expect(disagreements(facts, { ...toApi, port: 81 }, combine(allows, denies))).toEqual([]);
    expect(disagreements(facts, { ...toApi, from: '10.250.0.11', port: 81 }, combine(notAPod, allows))).toEqual([]);
    expect(disagreements(facts, { ...toApi, protocol: 'ICMP', port: 0 }, combine(allows, denies))).toEqual([]);
  });

  test('warns where it does not, with direction and policy', () => {
    expect(disagreements(facts, toApi, combine(allows, denies))).toEqual([
      '10.244.0.3 to 10.244.0.4, ingress: the kernel of node1 says denied, but by the objects in the API server it should be allowed (CiliumNetworkPolicy/shop/api-from-frontend); a change may be on its way (weft status), else this is a bug of Weft',
    ]);
    expect(disagreements(facts, { ...toApi, from: '10.244.0.5' }, combine(allows, allows))).toHaveLength(1);
    expect(disagreements(facts, toApi, combine(denies, allows))).toHaveLength(1);
  });
});
