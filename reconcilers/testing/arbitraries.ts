/** Random facts over a universe that is small enough for everything to meet everything. */
import fc from 'fast-check';
import type { Change } from '../compiler.ts';
import {
  type EndpointsFact,
  everyPort,
  type Fact,
  type HeaderMatch,
  type HttpMatch,
  type MeshServiceFact,
  type NamespaceFact,
  type NodeFact,
  type Peer,
  type PodFact,
  type PolicyFact,
  type PolicyPart,
  type PolicyRule,
  type PortMatch,
  type Requirement,
  type RouteBackend,
  type RouteFact,
  type RouteFilter,
  type RouteMatch,
  type RouteParent,
  type RouteRule,
  type Selector,
  type ServiceFact,
  type ServicePortFact,
} from '../facts.ts';
import type { HttpRequest } from '../http/match.ts';
import { type Address, type Cidr, parseAddress, parseCidr } from '../net/address.ts';

const NAMESPACES = ['shop', 'bank', 'kube-system'];
const NODES = ['n1', 'n2', 'n3'];
const KEYS = ['app', 'tier'];
const VALUES = ['a', 'b', 'c'];

/** Some in pod CIDRs, some not, some nodes'; so that owners and kinds change. */
export const ADDRESSES = [
  '10.0.1.1',
  '10.0.1.2',
  '10.0.2.1',
  '10.0.3.9',
  '172.16.0.5',
  '192.168.0.1',
  '192.168.0.2',
  '8.8.8.8',
  '8.8.4.4',
  'fd00:1::1',
  'fd00:2::1',
  'fd99::1',
  '2001:db8::1',
].map(address);

const CIDRS = [
  '0.0.0.0/0',
  '::/0',
  '8.0.0.0/8',
  '8.8.8.0/24',
  '8.8.8.8/32',
  '10.0.0.0/8',
  '10.0.1.0/25',
  '172.16.0.5/32',
  '192.168.0.1/32',
  '2001:db8::/32',
];

const POD_CIDRS: Record<string, readonly string[]> = {
  n1: ['10.0.1.0/24', 'fd00:1::/64'],
  n2: ['10.0.2.0/24', 'fd00:2::/64'],
  n3: ['10.0.3.0/24'],
};

export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}

export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`${text} is no CIDR`);
  return parsed.text;
}

const labels = fc
  .record({ app: fc.constantFrom(...VALUES), tier: fc.constantFrom(...VALUES) }, { requiredKeys: [] })
  .map((record): Record<string, string> => ({ ...record }));

const namespace = fc.record<NamespaceFact>({
  kind: fc.constant('namespace'),
  name: fc.constantFrom(...NAMESPACES),
  labels,
});

const node = fc.constantFrom(...NODES).chain((name) =>
  fc.record<NodeFact>({
    kind: fc.constant('node'),
    name: fc.constant(name),
    addresses: fc.subarray(['192.168.0.1', '192.168.0.2', 'fd99::1'].map(address), { maxLength: 2 }),
    podCidrs: fc.subarray((POD_CIDRS[name] ?? []).map(cidr)),
  }),
);

const anyPod = fc.record<PodFact>({
  kind: fc.constant('pod'),
  namespace: fc.constantFrom(...NAMESPACES),
  name: fc.constantFrom('p1', 'p2', 'p3'),
  uid: fc.constantFrom('u1', 'u2'),
  node: fc.constantFrom('', ...NODES),
  labels,
  serviceAccount: fc.constantFrom('default', 'robot'),
  addresses: fc.subarray(ADDRESSES, { maxLength: 2 }),
  hostNetwork: fc.constantFrom(false, false, false, true),
  terminated: fc.constantFrom(false, false, false, true),
  deleting: fc.constantFrom(false, false, true),
  created: fc.constantFrom('', '2026-01-01T00:00:00Z'),
  proxy: fc.constantFrom(false, false, true),
  ports: fc.subarray([
    { name: 'http', protocol: 'TCP' as const, port: 80 },
    { name: 'dns', protocol: 'UDP' as const, port: 53 },
  ]),
});

/** Kubernetes never gives one uid twice; a pod that is made again under its name has another. */
const pod = anyPod.map((fact) => ({ ...fact, uid: `${fact.namespace}-${fact.name}-${fact.uid}` }));

const requirement: fc.Arbitrary<Requirement> = fc.oneof(
  fc.record<Requirement>({
    scope: fc.constantFrom('pod-label' as const, 'pod-label' as const, 'namespace-label' as const),
    key: fc.constantFrom(...KEYS),
    operator: fc.constantFrom('In' as const, 'NotIn' as const),
    values: fc.subarray(VALUES, { minLength: 1, maxLength: 2 }),
  }),
  fc.record<Requirement>({
    scope: fc.constantFrom('pod-label' as const, 'namespace-label' as const),
    key: fc.constantFrom(...KEYS),
    operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const),
    values: fc.constant([]),
  }),
  fc.record<Requirement>({
    scope: fc.constant('namespace' as const),
    key: fc.constant(''),
    operator: fc.constantFrom('In' as const, 'In' as const, 'NotIn' as const),
    values: fc.subarray(NAMESPACES, { minLength: 1, maxLength: 2 }),
  }),
  fc.constant<Requirement>({ scope: 'service-account', key: '', operator: 'In', values: ['robot'] }),
);

const selector: fc.Arbitrary<Selector> = fc.array(requirement, { maxLength: 2 });

const peer: fc.Arbitrary<Peer> = fc.oneof(
  selector.map((value): Peer => ({ kind: 'pods', selector: value })),
  fc
    .constantFrom('all', 'world', 'world-ipv4', 'world-ipv6', 'cluster', 'host', 'remote-node')
    .map((entity): Peer => ({ kind: 'entity', entity: entity as 'all' })),
  fc.constantFrom(...CIDRS).map((text): Peer => ({ kind: 'cidr', cidr: cidr(text), except: [] })),
  fc.constant<Peer>({ kind: 'cidr', cidr: cidr('8.0.0.0/8'), except: [cidr('8.8.8.0/24')] }),
  fc.constant<Peer>({ kind: 'cidr', cidr: cidr('0.0.0.0/0'), except: [cidr('10.0.1.0/25'), cidr('8.8.8.8/32')] }),
);

const portNumber = fc.constantFrom(0, 1, 53, 80, 81, 443, 1024, 8080, 65_535);

export const portMatch: fc.Arbitrary<PortMatch> = fc.oneof(
  fc
    .tuple(fc.constantFrom('TCP' as const, 'UDP' as const, 'SCTP' as const, 'ANY' as const), portNumber, portNumber)
    .map(([protocol, a, b]): PortMatch => ({ protocol, first: Math.min(a, b), last: Math.max(a, b) })),
  fc.constantFrom<PortMatch>({ protocol: 'TCP', portName: 'http' }, { protocol: 'ANY', portName: 'dns' }),
);

const httpMatch: fc.Arbitrary<HttpMatch> = fc.record({
  method: fc.constantFrom('', 'GET', 'GET|POST'),
  path: fc.constantFrom('', '/a', '/a.*', '/[0-9]+'),
  host: fc.constantFrom('', '', 'shop\\.example'),
  headers: fc.array(
    fc.oneof(
      fc.constantFrom<HeaderMatch>(
        { name: 'x-there', mismatch: '' },
        { name: 'x-token', value: 'a', mismatch: '' },
        { name: 'x-token', value: 'b', mismatch: 'ADD' },
        { name: 'x-log', value: '1', mismatch: 'LOG' },
        { name: 'x-gone', value: '1', mismatch: 'DELETE' },
      ),
    ),
    { maxLength: 2 },
  ),
});

export const REQUESTS: readonly HttpRequest[] = [
  { method: 'GET', path: '/a', host: 'x', headers: { 'x-there': '', 'x-token': 'a' } },
  { method: 'POST', path: '/a/b?c', host: 'shop.example', headers: { 'x-token': 'b', 'x-gone': '1' } },
  { method: 'DELETE', path: '/7', host: 'x', headers: { 'x-log': '1' } },
];

const rule = fc
  .record({
    direction: fc.constantFrom('ingress' as const, 'egress' as const),
    deny: fc.constantFrom(false, false, true),
    index: fc.constant(0),
    peers: fc.array(peer, { maxLength: 2 }),
    ports: fc.oneof(fc.constant(everyPort), fc.array(portMatch, { minLength: 1, maxLength: 2 })),
    reason: fc.constant(''),
    http: fc.oneof(fc.constant([]), fc.array(httpMatch, { minLength: 1, maxLength: 2 })),
  })
  .map(({ http, ...value }): PolicyRule => (http.length === 0 || value.deny ? value : { ...value, http }))
  .map((value) =>
    value.direction === 'ingress' ? value : { ...value, ports: value.ports.filter((port) => 'first' in port) },
  );

const part = fc
  .record<PolicyPart>({
    subject: selector,
    defaultDeny: fc.subarray(['ingress' as const, 'egress' as const]),
    rules: fc.array(rule, { maxLength: 3 }),
  })
  .map((value) => ({ ...value, rules: value.rules.map(numbered) }));

/** Two of them are of one rule as it was written. */
function numbered(rule: PolicyRule, position: number): PolicyRule {
  const index = position >> 1;
  return rule.http === undefined ? { ...rule, index } : { ...rule, index, toPorts: position & 1 };
}

const policy: fc.Arbitrary<PolicyFact> = fc
  .tuple(
    fc.constantFrom(
      'NetworkPolicy' as const,
      'CiliumNetworkPolicy' as const,
      'CiliumClusterwideNetworkPolicy' as const,
    ),
    fc.constantFrom('x', 'y'),
    fc.array(part, { minLength: 1, maxLength: 2 }),
    fc.integer({ min: 1, max: 2 }),
  )
  .map(([policyKind, name, parts, generation]) => {
    const namespaceOf = policyKind === 'CiliumClusterwideNetworkPolicy' ? '' : 'shop';
    return { kind: 'policy', policyKind, namespace: namespaceOf, name, generation, parts, problems: [] };
  });

const SERVICE_PORTS: ServicePortFact[] = [
  { name: 'http', protocol: 'TCP', port: 80, nodePort: 0, appProtocol: '' },
  { name: 'grpc', protocol: 'TCP', port: 81, nodePort: 0, appProtocol: 'grpc' },
  { name: 'dns', protocol: 'UDP', port: 81, nodePort: 0, appProtocol: '' },
];

const service = fc.record<ServiceFact>({
  kind: fc.constant('service'),
  namespace: fc.constant('shop'),
  name: fc.constantFrom('s1', 's2'),
  clusterIps: fc.subarray(['10.96.0.1', 'fd96::1'].map(address), { minLength: 1 }),
  externalIps: fc.constant([]),
  ports: fc.subarray(SERVICE_PORTS, { minLength: 1 }),
  affinitySeconds: fc.constantFrom(0, 60),
  internalLocal: fc.boolean(),
  externalLocal: fc.constant(false),
});

const endpoints = fc.record<EndpointsFact>({
  kind: fc.constant('endpoints'),
  namespace: fc.constant('shop'),
  name: fc.constantFrom('e1', 'e2'),
  service: fc.constantFrom('s1', 's2'),
  ports: fc.constant([{ name: 'http', protocol: 'TCP' as const, port: 8080 }]),
  endpoints: fc.array(
    fc.record({
      addresses: fc.subarray(ADDRESSES, { minLength: 1, maxLength: 1 }),
      node: fc.constantFrom(...NODES),
      state: fc.constantFrom('ready' as const, 'terminating' as const),
    }),
    { maxLength: 3 },
  ),
});

const meshService = fc.record<MeshServiceFact>({
  kind: fc.constant('meshService'),
  namespace: fc.constant('shop'),
  name: fc.constantFrom('s1', 's2'),
  algorithm: fc.constantFrom('Random' as const, 'Maglev' as const),
  affinitySeconds: fc.constantFrom(0, 30),
});

const target = {
  namespace: fc.constantFrom('shop', 'shop', 'bank'),
  service: fc.constantFrom('s1', 's2'),
  port: fc.constantFrom(80, 81, 82),
};

const headerFilter = fc.constantFrom<RouteFilter>(
  { kind: 'requestHeaders', set: [{ name: 'x-a', value: '1%' }], add: [], remove: ['x-b'] },
  { kind: 'responseHeaders', set: [], add: [{ name: 'x-c', value: '' }], remove: [] },
);

const routeBackend: fc.Arbitrary<RouteBackend> = fc
  .tuple(
    fc.record({
      ...target,
      weight: fc.constantFrom(0, 1, 7),
      filters: fc.oneof(
        fc.array(headerFilter, { maxLength: 1 }),
        fc.constant<RouteFilter[]>([{ kind: 'rewrite', path: { type: 'ReplaceFullPath', value: '/' } }]),
      ),
    }),
    fc.constantFrom(false, false, true),
  )
  .map(([value, refused]) =>
    refused ? { ...value, refused: { reason: 'RefNotPermitted', message: 'No ReferenceGrant.' } } : value,
  );

const routeFilter: fc.Arbitrary<RouteFilter> = fc.oneof(
  headerFilter,
  fc.constantFrom<RouteFilter>(
    { kind: 'redirect', hostname: 'x.example', status: 301 },
    { kind: 'rewrite', path: { type: 'ReplacePrefixMatch', value: '/b' } },
    { kind: 'fault', delayMs: 10, delayPerMillion: 1000, abortStatus: 500, abortPerMillion: 1000 },
    { kind: 'rateLimit', requests: 1, perMs: 1000, perClient: true },
  ),
  fc.record(target).map((backend): RouteFilter => ({ kind: 'mirror', backend, perMillion: 1000 })),
);

const routeMatch: fc.Arbitrary<RouteMatch> = fc.record({
  path: fc.constantFrom<NonNullable<RouteMatch['path']>>(
    { type: 'PathPrefix', value: '/' },
    { type: 'PathPrefix', value: '/a/' },
    { type: 'Exact', value: '/a' },
    { type: 'RegularExpression', value: '/[a-z]' },
  ),
  headers: fc.subarray([{ name: 'x-a', type: 'Exact' as const, value: '1' }]),
  query: fc.subarray([{ name: 'q', type: 'Present' as const, value: '' }]),
});

const routeRule: fc.Arbitrary<RouteRule> = fc.record({
  name: fc.constantFrom('', 'named'),
  index: fc.constantFrom(0, 1),
  matches: fc.array(routeMatch, { minLength: 1, maxLength: 2 }),
  filters: fc.array(routeFilter, { maxLength: 2 }),
  backends: fc.array(routeBackend, { maxLength: 3 }),
  timeouts: fc.constantFrom({}, { request: 1500, perTry: 500 }),
});

const route: fc.Arbitrary<RouteFact> = fc.record({
  kind: fc.constant('route'),
  routeKind: fc.constantFrom('HTTPRoute' as const, 'L7Route' as const),
  namespace: fc.constant('shop'),
  name: fc.constantFrom('r1', 'r2'),
  generation: fc.integer({ min: 1, max: 2 }),
  created: fc.constantFrom('', '2026-01-01T00:00:00Z'),
  parents: fc.array(
    fc.record<RouteParent>({
      index: fc.constantFrom(0, 1),
      namespace: fc.constant('shop'),
      service: fc.constantFrom('s1', 's2'),
      port: fc.constantFrom(undefined, 80, 81, 82),
    }),
    { maxLength: 2 },
  ),
  rules: fc.array(routeRule, { maxLength: 3 }),
  problems: fc.subarray([{ severity: 'error' as const, field: 'spec.rules[0]', message: 'Not understood.' }]),
});

function keyOf(fact: Fact): string {
  if (fact.kind === 'route') return `${fact.routeKind}/${fact.namespace}/${fact.name}`;
  if (fact.kind === 'policy') return `${fact.policyKind}/${fact.namespace}/${fact.name}`;
  return 'namespace' in fact ? `${fact.kind}/${fact.namespace}/${fact.name}` : `${fact.kind}/${fact.name}`;
}

/** One event: an object is as told, or gone. */
export const change = eventOf(
  fc.oneof(
    { arbitrary: pod, weight: 6 },
    { arbitrary: policy, weight: 6 },
    { arbitrary: namespace, weight: 1 },
    { arbitrary: node, weight: 2 },
    { arbitrary: service, weight: 1 },
    { arbitrary: endpoints, weight: 1 },
    { arbitrary: meshService, weight: 1 },
    { arbitrary: route, weight: 2 },
  ),
);

/** Of Services and routes alone, so that they meet more often. */
export const routingChange = eventOf(fc.oneof(service, service, endpoints, meshService, route, route));

function eventOf(facts: fc.Arbitrary<Fact>): fc.Arbitrary<Change> {
  return fc
    .tuple(facts, fc.constantFrom(true, true, true, false))
    .map(([fact, present]) => ({ key: keyOf(fact), facts: present ? [fact] : [] }));
}

/** What is left when all events have happened. */
export function finalState(events: readonly Change[]): Change[] {
  const last = new Map(events.map((event) => [event.key, event]));
  return [...last.values()].filter(({ facts }) => facts.length > 0);
}
