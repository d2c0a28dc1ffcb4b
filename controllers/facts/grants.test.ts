import { expect, test } from '@jest/globals';
import type { Fact } from '../../reconcilers/facts.ts';
import { translate } from '../../sources/index.ts';
import { Grants } from './grants.ts';

const far = { name: 'far', namespace: 'other', port: 80 };

function route(rules: unknown, kind: 'HTTPRoute' | 'GRPCRoute' = 'HTTPRoute'): readonly Fact[] {
  const parentRefs = [{ group: '', kind: 'Service', name: 'api' }];
  return translate(kind, { metadata: { namespace: 'shop', name: 'r' }, spec: { parentRefs, rules } }).facts;
}

function grant(kind: string, namespace: string, service?: string): readonly Fact[] {
  const to = [{ group: '', kind: 'Service', ...(service === undefined ? {} : { name: service }) }];
  return translate('ReferenceGrant', {
    metadata: { namespace: 'other', name: 'g' },
    spec: { from: [{ group: 'gateway.networking.k8s.io', kind, namespace }], to },
  }).facts;
}

/** Why backends and mirrors of the route are refused. */
function refusals(facts: readonly Fact[]): (string | undefined)[] {
  return facts.flatMap((fact) =>
    fact.kind !== 'route'
      ? []
      : fact.rules.flatMap(({ backends, filters }) => [
          ...backends.map(({ refused }) => refused?.reason),
          ...filters.flatMap((filter) => (filter.kind === 'mirror' ? [filter.backend.refused?.reason] : [])),
        ]),
  );
}

const both = [
  {
    filters: [{ type: 'RequestMirror', requestMirror: { backendRef: far } }],
    backendRefs: [far, { name: 'own', port: 80 }],
  },
];

test.each([
  [
    'that names nobody else permits backends and mirrors',
    grant('HTTPRoute', 'shop'),
    [undefined, undefined, undefined],
  ],
  ['for the Service permits it', grant('HTTPRoute', 'shop', 'far'), [undefined, undefined, undefined]],
  [
    'for another Service permits nothing',
    grant('HTTPRoute', 'shop', 'near'),
    ['RefNotPermitted', undefined, 'RefNotPermitted'],
  ],
  [
    'for another namespace permits nothing',
    grant('HTTPRoute', 'bank'),
    ['RefNotPermitted', undefined, 'RefNotPermitted'],
  ],
  ['for another kind permits nothing', grant('GRPCRoute', 'shop'), ['RefNotPermitted', undefined, 'RefNotPermitted']],
])('a grant %s', (_, facts, expected) => {
  const grants = new Grants();
  grants.set('ReferenceGrant/other/g', facts);
  expect(refusals(grants.permit('HTTPRoute/shop/r', route(both)))).toEqual(expected);
});

test('a grant that comes or goes names the routes that refer to its namespace, and no others', () => {
  const grants = new Grants();
  grants.permit('HTTPRoute/shop/r', route(both));
  grants.permit('HTTPRoute/shop/own', route([{ backendRefs: [{ name: 'own', port: 80 }] }]));
  expect(grants.set('ReferenceGrant/other/g', grant('HTTPRoute', 'shop'))).toEqual(['HTTPRoute/shop/r']);
  expect(grants.set('ReferenceGrant/third/g', [])).toEqual([]);
  grants.permit('HTTPRoute/shop/r', []);
  expect(grants.set('ReferenceGrant/other/g', [])).toEqual([]);
  expect(refusals(grants.permit('HTTPRoute/shop/r', route(both)))).toContain('RefNotPermitted');
});
