import { expect, test } from '@jest/globals';
import fc from 'fast-check';
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
