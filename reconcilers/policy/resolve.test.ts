import { expect, test } from '@jest/globals';
import { Protocol, Verdict } from '@weft/node-api';
import fc from 'fast-check';
import { type PortEntry, type PortRule, resolvePorts } from './resolve.ts';

const port = fc.oneof(fc.integer({ min: 0, max: 65_535 }), fc.constantFrom(0, 1, 80, 1023, 1024, 65_535));

const rules = fc
  .array(
    fc.record({
      protocol: fc.constantFrom('TCP' as const, 'UDP' as const, 'ANY' as const),
      ends: fc.oneof(fc.tuple(port, port), fc.constant<[number, number]>([0, 65_535])),
      deny: fc.boolean(),
      http: fc.boolean(),
    }),
    { maxLength: 6 },
  )
  .map((all) =>
    all.map(({ protocol, ends, deny, http }, rule): PortRule => {
      const ports = { protocol, first: Math.min(...ends), last: Math.max(...ends), deny, rule };
      return http && !deny && protocol === 'TCP' ? { ...ports, http } : ports;
    }),
  );

function verdictOf({ deny, http }: PortRule): Verdict {
  if (deny) return Verdict.VERDICT_DENY;
  return http === true ? Verdict.VERDICT_PROXY : Verdict.VERDICT_ALLOW;
}

function lookUp(entries: readonly PortEntry[], protocol: Protocol, wanted: number): PortEntry | undefined {
  const length = (entry: PortEntry): number => (entry.protocol === 0 ? 0 : 8 + entry.portBits);
  return entries
    .filter((e) => e.protocol === 0 || e.protocol === protocol)
    .filter((e) => e.port >> (16 - e.portBits) === wanted >> (16 - e.portBits))
    .sort((a, b) => length(b) - length(a))[0];
}

test('the longest prefix gives the verdict and the rule that reading the rules one by one gives', () => {
  fc.assert(
    fc.property(rules, fc.array(port, { minLength: 8, maxLength: 8 }), (all, ports) => {
      const entries = resolvePorts(all);
      const edges = all
        .flatMap(({ first, last }) => [first - 1, first, last, last + 1])
        .filter((p) => p >= 0 && p <= 65_535);
      for (const wanted of [...ports, ...edges]) {
        for (const [name, protocol] of [
          ['TCP', Protocol.PROTOCOL_TCP],
          ['UDP', Protocol.PROTOCOL_UDP],
        ] as const) {
          const hits = all.filter(
            (r) => (r.protocol === 'ANY' || r.protocol === name) && r.first <= wanted && wanted <= r.last,
          );
          const deciding = hits.find(({ deny }) => deny) ?? hits.find(({ http }) => http !== true) ?? hits[0];
          const found = lookUp(entries, protocol, wanted);
          expect(found?.rule).toBe(deciding?.rule);
          expect(found?.verdict).toBe(deciding && verdictOf(deciding));
          expect(found?.behind).toEqual(deciding?.http === true ? hits.map(({ rule }) => rule) : undefined);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('entries are aligned prefixes without duplicates', () => {
  fc.assert(
    fc.property(rules, (all) => {
      const entries = resolvePorts(all);
      const keys = entries.map((e) => `${e.protocol} ${e.port} ${e.portBits}`);
      expect(new Set(keys).size).toBe(keys.length);
      for (const e of entries) expect(e.port % 2 ** (16 - e.portBits)).toBe(0);
    }),
  );
});

test('all ports but one take two entries, not one for each prefix between', () => {
  const all: PortRule[] = [
    { protocol: 'TCP', first: 22, last: 22, deny: true, rule: 0 },
    { protocol: 'ANY', first: 0, last: 65_535, deny: false, rule: 1 },
  ];
  expect(resolvePorts(all)).toEqual([
    { protocol: 0, port: 0, portBits: 0, verdict: 1, rule: 1 },
    { protocol: 6, port: 22, portBits: 16, verdict: 0, rule: 0 },
  ]);
});
