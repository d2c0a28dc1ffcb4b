import { expect, test } from '@jest/globals';
import type { PolicySet } from '@weft/node-api';
import type { RequestRecord } from 'bpf-loader-napi';
import type { LocalPod } from '../state/pod.ts';
import { type FlowFilter, fits, statusRange } from './filter.ts';
import { FlowLog } from './log.ts';
import { judge, ruleOf } from './request.ts';
import type { Flow } from './view.ts';

const ROUTE = 'CiliumNetworkPolicy/shop/api#ingress[0]';

/** What Envoy 1.40 wrote about requests that went this way. */
test.each([
  ['answered', { route: ROUTE, status: 200, flags: '', details: 'via_upstream' }, 'allowed', 'http-allowed'],
  [
    'a refusal of the server',
    { route: ROUTE, status: 403, flags: '', details: 'via_upstream' },
    'allowed',
    'http-allowed',
  ],
  ['no rule', { route: 'denied', status: 403, flags: '', details: 'direct_response' }, 'denied', 'http-denied'],
  [
    'no rule, client gone',
    { route: 'denied', status: 403, flags: 'DC', details: 'direct_response' },
    'denied',
    'http-denied',
  ],
  [
    'nobody listens',
    {
      route: ROUTE,
      status: 503,
      flags: 'UF',
      details: 'upstream_reset_before_response_started{remote_connection_failure|Connection_refused}',
    },
    'failed',
    'no-upstream',
  ],
  ['slow', { route: ROUTE, status: 504, flags: 'UT', details: 'response_timeout' }, 'failed', 'timeout'],
  [
    'cut',
    {
      route: ROUTE,
      status: 503,
      flags: 'UC',
      details: 'upstream_reset_before_response_started{connection_termination}',
    },
    'failed',
    'upstream-reset',
  ],
  [
    'no HTTP from the server',
    { route: ROUTE, status: 502, flags: 'UPE', details: 'upstream_reset_before_response_started{protocol_error}' },
    'failed',
    'upstream-protocol-error',
  ],
  ['%2F', { route: '', status: 400, flags: '', details: 'path_normalization_failed' }, 'failed', 'protocol-error'],
  ['HTTP/1.0', { route: '', status: 426, flags: 'DPE', details: 'low_version' }, 'failed', 'protocol-error'],
  [
    'headers of 70 kB',
    { route: '', status: 431, flags: 'DPE', details: 'http1.headers_too_large' },
    'failed',
    'protocol-error',
  ],
  ['no host', { route: '', status: 400, flags: '', details: 'missing_host_header' }, 'failed', 'protocol-error'],
  [
    'headers that do not end',
    { route: '', status: 408, flags: '', details: 'request_header_timeout' },
    'failed',
    'timeout',
  ],
  ['overload', { route: '', status: 503, flags: 'OM', details: 'overload' }, 'failed', 'overload'],
  [
    'client gone',
    { route: ROUTE, status: 0, flags: 'DC', details: 'downstream_remote_disconnect' },
    'allowed',
    'client-gone',
  ],
  ['client gone midway', { route: ROUTE, status: 200, flags: 'DC', details: 'via_upstream' }, 'allowed', 'client-gone'],
  ['no routes', { route: '', status: 404, flags: 'NR', details: 'route_not_found' }, 'failed', 'no-route'],
] as const)('%s', (_, record, verdict, reason) => {
  expect(judge(record)).toEqual({ verdict, reason });
});

test('a route is named as its rule', () => {
  const rule = { policy: 'CiliumNetworkPolicy/shop/api', direction: 'ingress', index: 0, deny: false };
  expect(ruleOf(ROUTE)).toEqual(rule);
  expect(ruleOf('CiliumClusterwideNetworkPolicy/all#egress[12]')).toEqual({
    ...rule,
    policy: 'CiliumClusterwideNetworkPolicy/all',
    direction: 'egress',
    index: 12,
  });
  expect(['denied', '', 'x#ingress', `${ROUTE}x`].map(ruleOf)).toEqual([undefined, undefined, undefined, undefined]);
});

const request = (more: Partial<RequestRecord> = {}): RequestRecord => ({
  time: Date.now(),
  listener: 255n,
  route: ROUTE,
  method: 'GET',
  path: '/api/v1/users',
  authority: 'api',
  protocol: 'HTTP/1.1',
  status: 200,
  flags: '',
  details: 'via_upstream',
  durationMs: 3,
  receivedBytes: 1,
  sentBytes: 2,
  source: '10.244.1.2',
  sourcePort: 40000,
  destination: '10.96.0.7',
  destinationPort: 8080,
  upstream: '10.244.1.3',
  upstreamPort: 80,
  userAgent: 'curl',
  ...more,
});

const pods: LocalPod[] = ['frontend', 'api'].map((name, at) => ({
  slot: at + 1,
  ifindex: at + 10,
  uid: name,
  namespace: 'shop',
  name,
  ipv4: `10.244.1.${at + 2}`,
}));
const podOfSlot = (slot: number) => {
  const pod = pods.find((one) => one.slot === slot);
  return pod && { namespace: pod.namespace, name: pod.name, uid: pod.uid, labels: {} };
};

const policy = { kind: 'CiliumNetworkPolicy', namespace: 'shop', name: 'api', generation: 1n };
const http = { method: 'GET', path: '/api/v1/users', host: '', headers: [] };
const set: PolicySet = {
  id: 0x0bn,
  entries: [],
  rules: [
    { policy, direction: 0, index: 1, deny: false, reason: '', http: [] },
    { policy, direction: 0, index: 0, deny: false, reason: '', http: [http] },
  ],
  ingressDefaultDeny: [],
  egressDefaultDeny: [],
  listeners: [{ id: 255n, rules: [1] }],
};

function logged(...records: RequestRecord[]): { log: FlowLog; flows: (Flow | undefined)[] } {
  const log = new FlowLog('node1', podOfSlot, () => pods);
  log.ruleTables.record(set.id, set, 0);
  log.pushRequests(records, 0);
  return { log, flows: log.places(log.start).map((place) => log.get(place)) };
}

test('an allowed request names both pods, the rule and what was dialled', () => {
  expect(logged(request()).flows).toMatchObject([
    {
      number: 0,
      node: 'node1',
      type: 'request',
      verdict: 'allowed',
      reason: 'http-allowed',
      direction: 'ingress',
      protocol: 'TCP',
      source: { address: '10.244.1.2', port: 40000, pod: { name: 'frontend' } },
      destination: { address: '10.244.1.3', port: 80, pod: { name: 'api' } },
      service: { address: '10.96.0.7', port: 8080 },
      ingress: { set: '000000000000000b', rule: { policy: 'CiliumNetworkPolicy/shop/api', index: 0 } },
      http: { method: 'GET', path: '/api/v1/users', status: 200, durationMs: 3, authority: 'api' },
    },
  ]);
});

test('a denied request names the rules of which none matched, as far as they are known', () => {
  const {
    upstream: _,
    upstreamPort: __,
    ...denied
  } = request({ route: 'denied', status: 403, destination: '10.244.1.3' });
  const [known, unknown] = logged(denied, { ...denied, listener: 1n }).flows;
  expect(known).toMatchObject({ verdict: 'denied', destination: { pod: { name: 'api' } } });
  expect(known?.ingress).toEqual({
    set: '000000000000000b',
    noneOf: [{ policy: 'CiliumNetworkPolicy/shop/api', direction: 'ingress', index: 0, deny: false }],
  });
  expect(known?.service).toBeUndefined();
  expect(unknown).toMatchObject({ verdict: 'denied', direction: 'ingress' });
  expect(unknown?.ingress).toBeUndefined();
});

test('a pod that is gone is still named for requests of its time', () => {
  const { log } = logged(request({ time: Date.now() - 1_000 }));
  expect(log.places(log.start).map((place) => log.get(place)?.source.pod?.name)).toEqual(['frontend']);
  const gone = pods.shift();
  log.left(1);
  try {
    log.pushRequests([request({ time: Date.now() + 1_000 })], 0);
    expect(log.places(log.start).map((place) => log.get(place)?.source.pod?.name)).toEqual(['frontend', undefined]);
  } finally {
    if (gone) pods.unshift(gone);
  }
});

test('connections and requests are told in the order in which they came, from where a reader is', () => {
  const log = new FlowLog('node1', podOfSlot, () => pods);
  const event = {
    time: Date.now(),
    type: 'new' as const,
    reason: 'proxied',
    direction: 'ingress' as const,
    protocol: 6,
    source: '10.244.1.2',
    sourcePort: 1,
    destination: '10.244.1.3',
    destinationPort: 80,
    reply: false,
    packets: 0,
    bytes: 0,
  };
  log.push([event, event], 0);
  log.pushRequests([request(), request()], 0);
  const here = log.end;
  log.push([event], 2);
  log.pushRequests([request()], 3);
  const numbers = (from: typeof here) => log.places(from).map((place) => log.get(place)?.number);
  expect(numbers(log.start)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(numbers(here)).toEqual([4, 5]);
  expect(numbers(log.end)).toEqual([]);
  expect(log.counts).toEqual({ flows: { seen: 3, lost: 2 }, requests: { seen: 3, lost: 3 } });
  const [first] = log.places(log.start);
  expect(first && log.get(first)?.explanation).toContain('handed to Envoy');
});

test.each([
  [{ type: 'request' }, true],
  [{ type: 'new' }, false],
  [{ status: statusRange('200') }, true],
  [{ status: statusRange('4xx') }, false],
  [{ status: statusRange('200-299') }, true],
  [{ method: 'GET' }, true],
  [{ method: 'POST' }, false],
  [{ path: '/api/' }, true],
  [{ path: 'api' }, false],
  [{ verdict: 'allowed' }, true],
  [{ rule: 'shop/api' }, true],
  [{ rule: 'other' }, false],
  [{ pod: 'shop/frontend' }, true],
  [{ port: 8080 }, true],
  [{ protocol: 'tcp' }, true],
])('%j fits the request: %s', (filter, expected) => {
  const [flow] = logged(request()).flows;
  expect(flow && fits(flow, filter)).toBe(expected);
});

test('a connection has neither status nor path nor method', () => {
  const [flow] = logged(request()).flows;
  if (!flow) throw new Error('there is no flow');
  const { http: _, ...connection } = flow;
  expect(fits(connection, {})).toBe(true);
  expect(
    [{ status: [0, 599] }, { path: '' }, { method: '' }].map((filter) => fits(connection, filter as FlowFilter)),
  ).toEqual([false, false, false]);
});

test.each(['', '6xx', '99', '500-400', 'abc', '4x'])('"%s" is no status', (text) => {
  expect(() => statusRange(text)).toThrow('write 403, 4xx or 500-504');
});

test.each([
  ['HTTPRoute/shop/api#1', { policy: 'HTTPRoute/shop/api', direction: 'egress', index: 1, deny: false }],
  ['L7Route/shop/api#testers', { policy: 'L7Route/shop/api#testers', direction: 'egress', index: 0, deny: false }],
  ['Other/shop/api#1', undefined],
])('the rule of a route: %s', (route, rule) => {
  expect(ruleOf(route)).toEqual(rule);
});
