import { describe, expect, test } from '@jest/globals';
import type { AddressRow, PodRow, PolicyRow, Row } from 'bpf-loader-napi';
import fc from 'fast-check';
import { ModelTables, type Probe } from '../testing/model.ts';
import { planTables, type Tables } from './diff.ts';

/** Few sets, classes, nested prefixes and pods, so that changes collide in every way. */
const SETS = [0n, 5n, 7n, 8n, 13n];
const CLASSES = [1n, 2n, 3n];
const PREFIXES = ['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16', '10.1.1.0/24', '10.1.1.1/32', 'fd00::/64', 'fd00::1/128'];
const PEERS = ['9.9.9.9', '10.9.9.9', '10.1.9.9', '10.1.1.9', '10.1.1.1', 'fd00::1', 'fd00::2'];
const PORTS: readonly [protocol: number, port: number, bits: number][] = [
  [0, 0, 0],
  [6, 0, 0],
  [6, 80, 12],
  [6, 80, 16],
  [17, 0, 0],
];

const PROBES: readonly Probe[] = [0, 1, 2].flatMap((slot) =>
  PEERS.flatMap((peer) =>
    (['ingress', 'egress'] as const).flatMap((direction) =>
      [
        [6, 80],
        [6, 81],
        [6, 443],
        [17, 53],
      ].map(([protocol = 0, port = 0]) => ({ slot, peer, direction, protocol, port })),
    ),
  ),
);

const policyRow = fc
  .tuple(
    fc.constantFrom(...SETS.slice(1)),
    fc.constantFrom(...CLASSES),
    fc.constantFrom('ingress' as const, 'egress' as const),
    fc.constantFrom(...PORTS),
    fc.constantFrom('allow' as const, 'deny' as const),
    fc.nat(2),
  )
  .map(
    ([set, id, direction, [protocol, port, portBits], verdict, rule]): PolicyRow => ({
      table: 'policy',
      set,
      class: id,
      direction,
      protocol,
      port,
      portBits,
      verdict,
      rule,
    }),
  );

const addressRow = fc
  .tuple(fc.constantFrom(...PREFIXES), fc.constantFrom(...CLASSES))
  .map(([prefix, id]): AddressRow => ({ table: 'addresses', prefix, class: id, kind: 'pod' }));

const podRow = fc
  .tuple(fc.nat(2), fc.constantFrom(...SETS))
  .map(([slot, set]): PodRow => ({ table: 'pods', slot, set, ifindex: 10 + slot }));

const tables: fc.Arbitrary<Tables> = fc
  .tuple(
    fc.array(policyRow, { maxLength: 24 }),
    fc.array(addressRow, { maxLength: 8 }),
    fc.array(podRow, { maxLength: 4 }),
  )
  .map(([policy, addresses, pods]) => ({
    policy: unique(policy, (row) => `${row.set}${row.class}${row.direction}${row.protocol}/${row.portBits}`),
    addresses: unique(addresses, (row) => row.prefix),
    pods: unique(pods, (row) => `${row.slot}`),
    services: [],
    backends: [],
  }));

function unique<T>(rows: readonly T[], keyOf: (row: T) => string): T[] {
  return [...new Map(rows.map((row) => [keyOf(row), row])).values()];
}

function modelOf(state: Tables): ModelTables {
  const model = new ModelTables();
  const rows: Row[] = [...state.policy, ...state.addresses, ...state.pods];
  model.write([{ op: 'upsert', rows }]);
  return model;
}

function verdictsOf(model: ModelTables) {
  const classes = new Map(PEERS.map((peer) => [peer, model.address(peer)?.class ?? 0n]));
  return PROBES.map((probe) => model.verdictOf(classes.get(probe.peer) ?? 0n, probe));
}

describe('a plan', () => {
  test('ends in exactly the tables that were asked for', () => {
    fc.assert(
      fc.property(tables, tables, (before, after) => {
        const model = modelOf(before);
        const { make, change } = planTables(before, after);
        model.write([...make, ...change]);
        const wanted = modelOf(after);
        for (const table of ['policy', 'addresses', 'pods'] as const) {
          expect(model.rows(table)).toEqual(wanted.rows(table));
        }
      }),
      { numRuns: 200 },
    );
  });

  test('gives each probe the verdict of before or after at every single write, and turns back never', () => {
    fc.assert(
      fc.property(tables, tables, (before, after) => {
        const model = modelOf(before);
        const old = verdictsOf(model);
        const wanted = verdictsOf(modelOf(after));
        const done = new Set<number>();
        const wrong: (Probe | undefined)[] = [];
        model.onWrite = () => {
          verdictsOf(model).forEach((verdict, i) => {
            if (old[i] === undefined || wanted[i] === undefined) return;
            if (verdict !== old[i] && verdict !== wanted[i]) wrong.push(PROBES[i]);
            if (old[i] === wanted[i]) return;
            if (verdict === wanted[i]) done.add(i);
            else if (done.has(i)) wrong.push(PROBES[i]);
          });
        };
        const { make, change } = planTables(before, after);
        model.write([...make, ...change]);
        expect(wrong).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });

  test('raises the epoch of every pod that has another verdict', () => {
    fc.assert(
      fc.property(tables, tables, (before, after) => {
        const model = modelOf(before);
        const old = verdictsOf(model);
        const { make, change } = planTables(before, after);
        model.write([...make, ...change]);
        verdictsOf(model).forEach((verdict, i) => {
          const slot = PROBES[i]?.slot ?? -1;
          if (verdict !== undefined && verdict !== old[i]) expect(model.epochs.get(slot)).toBe(1);
        });
      }),
      { numRuns: 100 },
    );
  });

  test('of equal tables is empty', () => {
    fc.assert(
      fc.property(tables, (state) => {
        expect(planTables(state, state)).toMatchObject({ make: [], change: [], drift: [] });
      }),
    );
  });
});
