import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { Compiler } from '../reconcilers/index.ts';
import { type SourceKind, translate, trim } from './index.ts';

const KINDS: readonly SourceKind[] = [
  'Namespace',
  'Pod',
  'Service',
  'EndpointSlice',
  'Node',
  'NetworkPolicy',
  'CiliumNetworkPolicy',
  'CiliumClusterwideNetworkPolicy',
  'MeshService',
  'HTTPRoute',
  'GRPCRoute',
  'ReferenceGrant',
  'L7Route',
];

const runs = Number(process.env.WEFT_PROPERTY_RUNS ?? 300);

/** Objects that look right from the outside, with anything inside. */
const hostile = fc.record(
  {
    metadata: fc.oneof(
      fc.record({ namespace: fc.constant('a'), name: fc.string(), uid: fc.string(), labels: fc.jsonValue() }),
      fc.jsonValue(),
    ),
    spec: fc.oneof(
      fc.dictionary(
        fc.constantFrom(
          'podSelector',
          'endpointSelector',
          'ingress',
          'egress',
          'ingressDeny',
          'policyTypes',
          'ports',
          'clusterIPs',
          'enableDefaultDeny',
          'podCIDRs',
          'parentRefs',
          'rules',
          'to',
        ),
        fc.oneof(
          fc.jsonValue(),
          fc.array(
            fc.dictionary(fc.constantFrom('from', 'fromEndpoints', 'toPorts', 'fromCIDRSet', 'ports'), fc.jsonValue()),
          ),
        ),
      ),
      fc.jsonValue(),
    ),
    status: fc.jsonValue(),
    endpoints: fc.jsonValue(),
    ports: fc.jsonValue(),
    addressType: fc.constantFrom('IPv4', 'IPv6', 'x'),
  },
  { requiredKeys: [] },
);

test('whatever an object holds, it is translated or refused, compiled, and nothing throws', () => {
  fc.assert(
    fc.property(fc.constantFrom(...KINDS), fc.oneof(hostile, fc.anything()), (kind, object) => {
      const { facts, problems } = translate(kind, object);
      expect(Array.isArray(problems)).toBe(true);
      expect(() => new Compiler().update([{ key: 'x', facts }])).not.toThrow();
      expect(() => trim(kind, object)).not.toThrow();
    }),
    { numRuns: runs * 5 },
  );
});

test('what is trimmed away makes no difference', () => {
  fc.assert(
    fc.property(fc.constantFrom(...KINDS), hostile, (kind, object) => {
      expect(translate(kind, trim(kind, object))).toEqual(translate(kind, object));
    }),
    { numRuns: runs },
  );
});

const anyText = fc.oneof(
  { arbitrary: fc.string({ maxLength: 5 }), weight: 20 },
  { arbitrary: fc.string({ unit: 'binary', maxLength: 5 }), weight: 1 },
  { arbitrary: fc.jsonValue(), weight: 1 },
);
const header = fc.oneof(anyText, fc.constantFrom('X-A: b', 'X-A', 'x-C', 'X-A: b\r\nX-B: c'));
const headerMatch = fc.record(
  {
    name: fc.oneof(fc.constantFrom('X-A', 'host', ':path'), anyText),
    value: fc.oneof(fc.constantFrom('v', '\0'), anyText),
    mismatch: fc.constantFrom('', 'ADD', 'LOG', 'add', 1),
    secret: fc.constantFrom(undefined, undefined, {}),
  },
  { requiredKeys: [] },
);
const hostileHttp = fc.array(
  fc.oneof(
    {
      weight: 9,
      arbitrary: fc.record(
        {
          method: anyText,
          path: anyText,
          host: anyText,
          headers: fc.array(header, { maxLength: 2 }),
          headerMatches: fc.array(headerMatch, { maxLength: 2 }),
        },
        { requiredKeys: [] },
      ),
    },
    { weight: 1, arbitrary: fc.jsonValue() },
  ),
  { maxLength: 2 },
);

test('HTTP rules, whatever they hold, are refused or are what Envoy can be told', () => {
  let taken = 0;
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), hostileHttp, hostileHttp, hostileHttp), (http) => {
      const toPorts = [{ ports: [{ port: '80', protocol: 'TCP' }], rules: { http } }];
      const object = {
        metadata: { namespace: 'a', name: 'b' },
        spec: { endpointSelector: {}, ingress: [{ toPorts }] },
      };
      const { facts, problems } = translate('CiliumNetworkPolicy', object);
      const rules = facts.flatMap((fact) => (fact.kind === 'policy' ? fact.parts.flatMap((part) => part.rules) : []));
      expect(() => new Compiler().update([{ key: 'x', facts }])).not.toThrow();
      const asked = rules.flatMap((rule) => rule.http ?? []);
      // null is what is left out.
      expect(asked.length > 0 || http === null || problems.length > 0).toBe(true);
      expect(problems.length === 0 || rules.length === 0).toBe(true);
      for (const { method, path, host, headers } of asked) {
        taken++;
        for (const expression of [method, path, host]) {
          expect(expression).toMatch(/^[ -~]*$/);
          expect(() => RE2JS.compile(expression)).not.toThrow();
        }
        for (const { name, value = '' } of headers)
          expect(`${name}: ${value}`).toMatch(/^[!-9;-~]+: [ -~\u0080-\uffff]*$/);
      }
    }),
    { numRuns: runs * 5 },
  );
  expect(taken).toBeGreaterThan(50);
});

test('a policy that is not understood allows nothing that it would not allow otherwise', () => {
  const spec = { endpointSelector: {}, ingress: [{ fromEntities: ['all'] }] };
  const object = (extra: object) => ({ metadata: { namespace: 'a', name: 'b' }, spec: { ...spec, ...extra } });
  const [understood] = translate('CiliumNetworkPolicy', object({})).facts;
  const [not] = translate('CiliumNetworkPolicy', object({ ingresses: [] })).facts;
  if (understood?.kind !== 'policy' || not?.kind !== 'policy') throw new Error('no policy');
  expect(understood.parts[0]?.rules.map(({ deny }) => deny)).toEqual([false]);
  expect(not.parts[0]?.rules.map(({ deny }) => deny)).toEqual([true, true]);
  expect(not.problems.map(({ field }) => field)).toContain('spec.ingresses');
});
