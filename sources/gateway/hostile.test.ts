import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import type { RouteFact } from '../../reconcilers/facts.ts';
import { translate } from '../index.ts';

const runs = Number(process.env.WEFT_PROPERTY_RUNS ?? 300);

const any = fc.oneof(
  { arbitrary: fc.string({ maxLength: 4 }), weight: 4 },
  { arbitrary: fc.string({ unit: 'binary', maxLength: 4 }), weight: 1 },
  { arbitrary: fc.jsonValue({ maxDepth: 2 }), weight: 1 },
);
/** What is right, most of the time. */
const mostly = (right: readonly unknown[], ...wrong: readonly unknown[]) =>
  fc.oneof(
    { arbitrary: fc.constantFrom(...right), weight: 30 },
    { arbitrary: wrong.length === 0 ? any : fc.oneof(fc.constantFrom(...wrong), any), weight: 1 },
  );
const some = (fields: Record<string, fc.Arbitrary<unknown>>) => fc.record(fields, { requiredKeys: [] });
const lists = (of: fc.Arbitrary<unknown>) => fc.array(of, { maxLength: 2 });

const path = some({
  type: mostly(['Exact', 'PathPrefix', 'RegularExpression']),
  value: mostly(['/', '/a/'], '/a/../b', '('),
});
const named = fc.record({
  name: mostly(['x-a', 'Host']),
  type: mostly(['Exact', 'RegularExpression']),
  value: mostly(['a', '[a-c]'], '', '['),
});
const change = some({
  set: lists(fc.record({ name: mostly(['x-a'], 'host'), value: mostly(['v', '%REQ(x)%'], 'a\r\nb') })),
  remove: lists(mostly(['x-b'], 'te')),
});
const backend = fc.record({ name: mostly(['api']), port: mostly([80], 0), weight: mostly([1, 0], -1) });
const hostname = mostly(['a.b'], '*.b');
const rewrites = {
  L7Route: some({
    hostname,
    path: fc.record({ type: mostly(['ReplaceFullPath', 'ReplacePrefixMatch']), value: mostly(['/x'], 'x') }),
  }),
  HTTPRoute: some({
    hostname,
    path: fc.record({ type: mostly(['ReplaceFullPath']), replaceFullPath: mostly(['/x'], 'x') }),
  }),
};
const headerFilter = fc.record({ type: mostly(['RequestHeaderModifier']), requestHeaderModifier: change });
const grpcMethod = fc.record({
  service: mostly(['a.B'], 'a/B'),
  method: mostly(['C']),
  type: mostly(['RegularExpression', 'Exact']),
});
const rules = {
  HTTPRoute: some({
    matches: lists(some({ path, method: mostly(['GET']), headers: lists(named), queryParams: lists(named) })),
    backendRefs: lists(backend),
    filters: fc.oneof(
      lists(headerFilter),
      fc.tuple(fc.record({ type: fc.constant('URLRewrite'), urlRewrite: rewrites.HTTPRoute })),
    ),
    timeouts: some({ request: mostly(['1s', '0s'], '1d') }),
  }),
  GRPCRoute: some({
    matches: lists(some({ method: grpcMethod, headers: lists(named) })),
    backendRefs: lists(backend),
    filters: fc.tuple(headerFilter),
  }),
  L7Route: fc.record(
    {
      matches: lists(some({ path, host: hostname, headers: lists(named), query: lists(named) })),
      backends: fc.array(backend, { minLength: 1, maxLength: 2 }),
      rewrite: rewrites.L7Route,
      requestHeaders: change,
      rateLimit: some({ requests: mostly([1], 0), interval: mostly(['1s'], '1ms') }),
    },
    { requiredKeys: ['backends'] },
  ),
};
const routes = fc.oneof(
  ...(['HTTPRoute', 'GRPCRoute', 'L7Route'] as const).map((kind) =>
    fc.record({ kind: fc.constant(kind), rules: fc.array(rules[kind], { minLength: 1, maxLength: 2 }) }),
  ),
);

/** What Envoy would refuse, or what would mean something else than was written. */
function badTexts({ rules }: RouteFact): string[] {
  return rules.flatMap(({ matches, filters, backends, timeouts }) => [
    ...matches.flatMap(({ path, headers, query, grpc }) => [
      ...(path === undefined || path.type === 'RegularExpression' || /^\/[!-~]*$/.test(path.value) ? [] : [path.value]),
      ...[path, ...headers, ...query].flatMap((one) => (one?.type === 'RegularExpression' ? notRe2(one.value) : [])),
      ...(grpc?.type === 'RegularExpression' ? [grpc.service, grpc.method].flatMap((text) => notRe2(text ?? 'a')) : []),
      ...[...headers, ...query].map(({ name }) => name).filter((name) => !/^[ -~]+$/.test(name)),
    ]),
    ...[...filters, ...backends.flatMap((one) => one.filters)].flatMap((filter) =>
      filter.kind === 'requestHeaders'
        ? [
            ...filter.set.map(({ name, value }) => `${name}: ${value}`),
            ...filter.remove.map((name) => `${name}: -`),
          ].filter((line) => !/^[!-9;-~]+: [ -~\u0080-\uffff]*$/.test(line) || /^(host|te):/.test(line))
        : [],
    ),
    ...backends
      .filter(({ port, weight, refused }) => (port < 1 && refused === undefined) || weight < 0)
      .map(() => 'backend'),
    ...Object.values(timeouts)
      .filter((time) => !Number.isSafeInteger(time))
      .map(String),
  ]);
}

function notRe2(text: string): string[] {
  try {
    RE2JS.compile(text);
    return text === '' ? ['empty'] : [];
  } catch {
    return [text];
  }
}

test('rules of routes, whatever they hold, are refused as a whole or are what Envoy can be told', () => {
  let taken = 0;
  fc.assert(
    fc.property(routes, ({ kind, rules }) => {
      const parentRefs = [kind === 'L7Route' ? { name: 'api' } : { group: '', kind: 'Service', name: 'api' }];
      const written = rules.map((one) => JSON.parse(JSON.stringify(one)));
      const object = { metadata: { namespace: 'shop', name: 'r' }, spec: { parentRefs, rules: written } };
      const { facts, problems } = translate(kind, object);
      const [fact] = facts;
      if (fact?.kind !== 'route') throw new Error('no route');
      const refused = problems.some(({ severity }) => severity === 'error');
      expect({ parents: fact.parents.length, refused: fact.refused?.length }).toEqual({
        parents: refused ? 0 : 1,
        refused: refused ? 1 : 0,
      });
      if (refused) expect(fact.rules).toEqual([]);
      else taken++;
      expect(badTexts(fact)).toEqual([]);
    }),
    { numRuns: runs * 10 },
  );
  expect(taken).toBeGreaterThan(runs);
});
