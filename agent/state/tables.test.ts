import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { NodeResource } from '@weft/node-api';
import fc from 'fast-check';
import type { Resource } from '../tables/resource.ts';
import { ModelTables, modelDatapath } from '../testing/model.ts';
import { address, endpoint, policySet, service } from '../testing/resources.ts';
import { scratchDirectory } from '../testing/scratch.ts';
import { Journal } from './journal.ts';
import { ResourceStore, type Upsert } from './store.ts';
import { NodeTables } from './tables.ts';

const encoded = ([name, resource]: [string, Resource], version = 'v'): Upsert => ({
  name,
  version,
  bytes: NodeResource.encode({ resource }).finish(),
});
const POD = { slot: 0, ifindex: 5, uid: 'u1', namespace: 'shop', name: 'api', ipv4: '10.244.1.2' };

function setUp(path = join(scratchDirectory(), 'state.bin')) {
  const store = new ResourceStore();
  const { journal } = Journal.open(path, store);
  const model = new ModelTables();
  const tables = new NodeTables({ node: 'n1', store, journal, datapath: modelDatapath(model) });
  return { tables, model, store, path };
}

const SETS = [1n, 2n, 3n].map((n) => (n << 8n) | 1n);
const change = fc.oneof(
  fc.tuple(fc.constantFrom(...SETS), fc.bigInt(1n, 3n)).map(([id, c]) => policySet(id, c)),
  fc.tuple(fc.constantFrom('10.244.0.0/16', '10.244.1.2/32'), fc.bigInt(1n, 3n)).map(([p, c]) => address(p, c, 1)),
  fc.tuple(fc.constantFrom(0n, ...SETS), fc.bigInt(1n, 3n)).map(([set, c]) => endpoint('u1', 'api', set, c)),
  fc
    .tuple(fc.constantFrom('a', 'b'), fc.subarray(['10.0.0.1', '10.0.0.2']))
    .map(([n, b]) => service(n, [`10.96.0.${n === 'a' ? 1 : 2}`], b)),
);
const batches = fc.array(
  fc.tuple(
    fc.array(change, { maxLength: 4 }),
    fc.array(
      change.map(([name]) => name),
      { maxLength: 2 },
    ),
  ),
  { maxLength: 8 },
);

describe("the node's tables", () => {
  test('hold after any batches what a fresh start with the final state makes', async () => {
    await fc.assert(
      fc.asyncProperty(batches, async (all) => {
        const { tables, model, store, path } = setUp();
        await tables.start([], false);
        await tables.addPod(POD);
        for (const [changes, deletes] of all) {
          const upserts = [...new Map(changes).entries()].map((entry) => encoded(entry));
          const gone = deletes.filter((name) => !upserts.some((upsert) => upsert.name === name));
          await tables.applyBatch(upserts, gone);
        }
        const fresh = setUp(path);
        expect(fresh.store.versions()).toEqual(store.versions());
        await fresh.tables.start([POD], false);
        for (const table of ['addresses', 'policy', 'pods', 'services', 'backends'] as const) {
          expect(model.rows(table)).toEqual(fresh.model.rows(table));
        }
        expect(await tables.repair()).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  test('a resource that makes no sense keeps its last good state, is reported, and stops no other', async () => {
    const { tables, model } = setUp();
    const good = encoded(policySet(0x101n, 1n));
    await tables.applyBatch([good], []);
    const outcomes = await tables.applyBatch(
      [{ ...good, version: 'bad', bytes: Uint8Array.of(255) }, encoded(policySet(0x201n, 1n))],
      [],
    );
    expect(outcomes).toContainEqual({
      name: good.name,
      version: 'v',
      error: expect.stringContaining("can't be decoded"),
    });
    expect(model.rows('policy')).toHaveLength(2);
  });

  test('a pod whose policy the kernel does not take may talk to nobody', async () => {
    const { tables, model } = setUp();
    await tables.applyBatch([encoded(endpoint('u1', 'api', 0x101n, 1n)), encoded(policySet(0x101n, 1n))], []);
    await tables.addPod(POD);
    model.refuses = (row) => row.table === 'policy' && row.class === 9n;
    const outcomes = await tables.applyBatch([encoded(policySet(0x101n, 9n))], []);
    expect(outcomes).toContainEqual(expect.objectContaining({ error: 'No space left on device' }));
    expect(model.pods()).toMatchObject([{ set: 3n }]);
    model.refuses = () => false;
    await tables.repair();
    expect(model.pods()).toMatchObject([{ set: 0x101n }]);
  });

  test('a journal that outgrows its content is rewritten and loses nothing', () => {
    const path = join(scratchDirectory(), 'state.bin');
    const store = new ResourceStore();
    const { journal } = Journal.open(path, store);
    for (let round = 0; round < 8; round++) {
      const big = { name: 'service/a/big', version: `${round}`, bytes: new Uint8Array(600_000).fill(round) };
      const small = { name: `service/a/${round}`, version: 'v', bytes: Uint8Array.of(round) };
      journal.append([big, small], [], store);
      for (const upsert of [big, small]) store.set(upsert);
      const again = new ResourceStore();
      Journal.open(path, again).journal.close();
      expect(again.versions()).toEqual(store.versions());
    }
    expect(readFileSync(path).length).toBeLessThan(3_000_000);
  });

  test('a journal that is cut anywhere holds whole batches only', async () => {
    const { tables, path } = setUp();
    await tables.applyBatch([encoded(policySet(0x101n, 1n)), encoded(policySet(0x201n, 1n))], []);
    await tables.applyBatch([encoded(policySet(0x301n, 1n)), encoded(policySet(0x401n, 1n))], []);
    const whole = readFileSync(path);
    for (let length = 0; length < whole.length; length += 3) {
      writeFileSync(path, whole.subarray(0, length));
      const store = new ResourceStore();
      Journal.open(path, store).journal.close();
      expect([0, 2]).toContain(store.size);
    }
  });
});
