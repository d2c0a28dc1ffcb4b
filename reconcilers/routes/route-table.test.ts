import { RouteConfiguration } from '@envoyproxy/xds-protos/envoy/config/route/v3/route.ts';
import { describe, expect, test } from '@jest/globals';
import type { NodeResource } from '@weft/node-api';
import fc from 'fast-check';
import { Compiler, compileFromScratch } from '../compiler.ts';
import { INVALID, listenerName, routeListener } from '../envoy/names.ts';
import type { Fact, RouteFact, ServiceFact } from '../facts.ts';
import { address, finalState, routingChange } from '../testing/arbitraries.ts';
import { backendsIn, Held } from '../testing/held.ts';
import { backend, changesOf, endpointsFact, match, routeFact, serviceFact } from '../testing/routes.ts';

function compile(...facts: Fact[]): Held {
  return new Held().apply(compileFromScratch(changesOf(facts)));
}

const envoyNames = ({ shared }: Held) => [...shared.keys()].filter((name) => name.startsWith('envoy/')).sort();

function clustersIn(value: Uint8Array): string[] {
  const routes = RouteConfiguration.decode(value).virtualHosts.flatMap((host) => host.routes);
  return routes.flatMap(({ action }) => {
    if (action?.$case !== 'route') return [];
    const { clusterSpecifier, requestMirrorPolicies } = action.value;
    const weighted = clusterSpecifier?.$case === 'weightedClusters' ? clusterSpecifier.value.clusters : [];
    return [...weighted.map(({ name }) => name), ...requestMirrorPolicies.map(({ cluster }) => cluster)];
  });
}

function servicePorts(held: Held, key: string) {
  const found = held.shared.get(`service/${key}`)?.resource;
  return found?.$case === 'service' ? found.value.ports : [];
}

function endpointsOf(held: NodeResource | undefined): string[] {
  return held?.resource?.$case === 'envoy' ? backendsIn(held.resource.value.value) : ['none'];
}

test('whatever is named is there: listeners of ports, their routes, clusters with endpoints', () => {
  const seen = { listeners: 0, clusters: 0, families: 0 };
  fc.assert(
    fc.property(fc.array(routingChange, { maxLength: 25, size: 'max' }), (events) => {
      const held = new Held().apply(compileFromScratch(finalState(events)));
      for (const [name, { resource }] of held.shared) {
        if (resource?.$case === 'service') {
          const { namespace, name: service, ports } = resource.value;
          for (const { port, listener } of ports) {
            if (listener === 0n) continue;
            seen.listeners++;
            expect(listener).toBe(routeListener(`${namespace}/${service}`, port));
            expect(envoyNames(held)).toContain(`envoy/listener/${listenerName(listener)}`);
            expect(envoyNames(held)).toContain(`envoy/route/${listenerName(listener)}`);
          }
        }
        if (name.endsWith('/ipv6') && name.startsWith('envoy/route/')) seen.families++;
        if (!name.startsWith('envoy/route/') || resource?.$case !== 'envoy') continue;
        for (const cluster of clustersIn(resource.value.value).filter((one) => one !== INVALID)) {
          seen.clusters++;
          expect(envoyNames(held)).toContain(`envoy/cluster/${cluster}`);
          const mirror = cluster.startsWith('mirror/');
          expect(envoyNames(held)).toContain(`envoy/${mirror ? 'listener' : 'endpoints'}/${cluster}`);
          if (mirror) expect(envoyNames(held)).toContain(`envoy/endpoints/${cluster.replace('mirror/', '')}`);
        }
      }
    }),
    { numRuns: Number(process.env.WEFT_PROPERTY_RUNS ?? 600) },
  );
  expect(Math.min(seen.listeners, seen.clusters, seen.families)).toBeGreaterThan(20);
}, 60_000);

describe('what becomes of a Service', () => {
  const route = (change: Partial<RouteFact> = {}) => routeFact('r', [{ backends: [backend('one')] }], change);
  const id = routeListener('shop/web', 80);
  const two: ServiceFact['ports'] = [
    { name: 'http', protocol: 'TCP', port: 80, nodePort: 0, appProtocol: '' },
    { name: 'other', protocol: 'TCP', port: 81, nodePort: 0, appProtocol: '' },
    { name: 'dns', protocol: 'UDP', port: 53, nodePort: 0, appProtocol: '' },
  ];

  test('without a route Envoy is told nothing', () => {
    const held = compile(serviceFact('web'), ...endpointsFact('web', [8080]));
    expect(envoyNames(held)).toEqual([]);
    expect(servicePorts(held, 'shop/web')[0]?.listener).toBe(0n);
  });

  test('a route of one port, and of all TCP ports', () => {
    const parent = { index: 0, namespace: 'shop', service: 'web', port: 81 };
    const one = compile(serviceFact('web', { ports: two }), route({ parents: [parent] }));
    expect(servicePorts(one, 'shop/web').map(({ port, listener }) => [port, listener !== 0n])).toEqual([
      [80, false],
      [81, true],
      [53, false],
    ]);
    const all = compile(serviceFact('web', { ports: two }), route({ parents: [{ ...parent, port: undefined }] }));
    expect(servicePorts(all, 'shop/web').filter(({ listener }) => listener !== 0n)).toHaveLength(2);
  });

  test('endpoints by the name of the port, ready ones first', () => {
    const ports: ServiceFact['ports'] = [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 0, appProtocol: '' }];
    const [slice] = endpointsFact('one', [8080]);
    if (slice === undefined) throw new Error('no slice');
    const ending = { addresses: [address('10.0.0.9')], node: 'n', state: 'terminating' as const };
    const other = { name: 'admin', protocol: 'TCP' as const, port: 9000 };
    const facts = [serviceFact('web'), serviceFact('one', { ports }), route()];
    const name = 'envoy/endpoints/service/shop/one/80';
    const both = { ...slice, ports: [...slice.ports, other], endpoints: [ending, ...slice.endpoints] };
    expect(endpointsOf(compile(...facts, both).shared.get(name))).toEqual(['127.0.0.1 8080']);
    expect(endpointsOf(compile(...facts, { ...both, endpoints: [ending] }).shared.get(name))).toEqual([
      '10.0.0.9 8080',
    ]);
  });

  test('clients of each family get endpoints of theirs', () => {
    const clusterIps = [address('fd96::1'), address('10.96.0.1')];
    const held = compile(
      serviceFact('web', { clusterIps }),
      serviceFact('one', { clusterIps }),
      ...endpointsFact('one', [8080], '10.0.0.1').map((slice) => ({ ...slice, name: 'a' })),
      ...endpointsFact('one', [8080], 'fd00::1'),
      route(),
    );
    expect(envoyNames(held)).toEqual([
      'envoy/cluster/service/shop/one/80',
      'envoy/cluster/service/shop/one/80/ipv6',
      'envoy/endpoints/service/shop/one/80',
      'envoy/endpoints/service/shop/one/80/ipv6',
      `envoy/listener/${listenerName(id)}`,
      `envoy/route/${listenerName(id)}`,
      `envoy/route/${listenerName(id)}/ipv4`,
    ]);
    expect(endpointsOf(held.shared.get('envoy/endpoints/service/shop/one/80'))).toEqual(['10.0.0.1 8080']);
    expect(endpointsOf(held.shared.get('envoy/endpoints/service/shop/one/80/ipv6'))).toEqual(['fd00::1 8080']);
    const routes = held.shared.get(`envoy/route/${listenerName(id)}`)?.resource;
    expect(routes?.$case === 'envoy' && clustersIn(routes.value.value)).toEqual(['service/shop/one/80/ipv6']);
  });
});

describe('what is said of a route', () => {
  const verdict = (route: RouteFact, ...facts: Fact[]) => compile(...facts, route).routes.get('HTTPRoute/shop/r');
  const route = (backends = [backend('one')], change: Partial<RouteFact> = {}) =>
    routeFact('r', [{ match: match(), backends }], change);
  const services = [serviceFact('web'), serviceFact('one')];

  test('all is well', () => {
    expect(verdict(route(), ...services)).toEqual({
      parents: [{ index: 0, accepted: true, reason: 'Accepted', message: '' }],
      resolvedRefs: { status: true, reason: 'ResolvedRefs', message: '' },
    });
  });

  test('a parent that is not there, or not that port of it', () => {
    expect(verdict(route(), serviceFact('one'))?.parents).toEqual([
      {
        index: 0,
        accepted: false,
        reason: 'NoMatchingParent',
        message: 'There is no Service shop/web with a cluster IP.',
      },
    ]);
    const parents = [{ index: 3, namespace: 'shop', service: 'web', port: 81 }];
    expect(verdict(route(undefined, { parents }), ...services)?.parents).toEqual([
      { index: 3, accepted: false, reason: 'NoMatchingParent', message: 'Service shop/web has no TCP port 81.' },
    ]);
  });

  test('a route that is not understood is attached nowhere', () => {
    const problems = [{ severity: 'error' as const, field: 'spec.rules[0]', message: 'No.' }];
    const held = compile(...services, route(undefined, { problems }));
    expect(held.routes.get('HTTPRoute/shop/r')?.parents).toEqual([
      { index: 0, accepted: false, reason: 'UnsupportedValue', message: 'spec.rules[0]: No.' },
    ]);
    expect(envoyNames(held).filter((name) => !name.includes('service'))).toEqual([]);
    expect(servicePorts(held, 'shop/web')[0]?.listener).toBe(0n);
  });

  test.each([
    [backend('gone'), 'BackendNotFound', 'rules[0].backendRefs[0]: There is no Service shop/gone with a cluster IP.'],
    [backend('one', { port: 81 }), 'BackendNotFound', 'rules[0].backendRefs[0]: Service shop/one has no port 81.'],
    [
      backend('one', { refused: { reason: 'RefNotPermitted' as const, message: 'No ReferenceGrant.' } }),
      'RefNotPermitted',
      'rules[0].backendRefs[0]: No ReferenceGrant.',
    ],
    [
      backend('one', { filters: [{ kind: 'rewrite', path: { type: 'ReplaceFullPath', value: '/' } }] }),
      'UnsupportedValue',
      'rules[0].backendRefs[0]: Of a single backend only headers and the host can be changed.',
    ],
  ])('a backend that can not be used: %#', (only, reason, message) => {
    expect(verdict(route([only]), ...services)?.resolvedRefs).toEqual({ status: false, reason, message });
  });

  test('changes with the Services that it names, and only then', () => {
    const compiler = new Compiler();
    compiler.update(changesOf([serviceFact('web'), serviceFact('other')]));
    const [told] = changesOf([route()]);
    if (told === undefined) throw new Error('no change');
    compiler.update([{ ...told, key: 'HTTPRoute/shop/r' }]);
    const say = (key: string, facts: Fact[]) => compiler.update([{ key, facts }]).routes;
    expect(say('Service/shop/one', [serviceFact('one')]).get('HTTPRoute/shop/r')?.resolvedRefs.status).toBe(true);
    expect(say('Service/shop/other', []).size).toBe(0);
    expect(say('EndpointSlice/shop/one', endpointsFact('one', [8080])).size).toBe(0);
    expect(say('Service/shop/one', []).get('HTTPRoute/shop/r')?.resolvedRefs.reason).toBe('BackendNotFound');
    const gone = say('HTTPRoute/shop/r', []);
    expect([...gone]).toEqual([['HTTPRoute/shop/r', undefined]]);
  });
});

test('a slice of a backend changes its endpoints alone, whatever else there is', () => {
  const compiler = new Compiler();
  const many = Array.from({ length: 500 }, (_, n) => [serviceFact(`s${n}`), ...endpointsFact(`s${n}`, [8080])]).flat();
  const routes = Array.from({ length: 500 }, (_, n) =>
    routeFact(`r${n}`, [{ backends: [backend(`s${n}`)] }], {
      parents: [{ index: 0, namespace: 'shop', service: `s${(n + 1) % 500}`, port: 80 }],
    }),
  );
  compiler.update(changesOf([...many, ...routes]));
  const slice = {
    key: 'EndpointSlice/shop/more',
    facts: endpointsFact('s7', [9090], '10.0.0.7').map((one) => ({ ...one, name: 'more' })),
  };
  const output = compiler.update([slice]);
  expect([...output.shared.upserts.keys()].sort()).toEqual(['envoy/endpoints/service/shop/s7/80', 'service/shop/s7']);
  expect(output.visited).toBeLessThan(20);
  const edited = compiler.update([
    {
      key: 'HTTPRoute/shop/new',
      facts: [
        routeFact('new', [{ backends: [backend('s9')] }], {
          parents: [{ index: 0, namespace: 'shop', service: 's9', port: 80 }],
        }),
      ],
    },
  ]);
  expect([...edited.shared.upserts.keys()].sort()).toEqual([
    `envoy/route/${listenerName(routeListener('shop/s9', 80))}`,
  ]);
  expect(edited.visited).toBeLessThan(20);
});
