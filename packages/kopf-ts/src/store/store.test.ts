import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Change, type ChangeSet, createStore, type Entry } from './store.ts';

interface Thing {
  readonly key: string;
  readonly labels: readonly string[];
  readonly version: string;
}

const thing = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd'),
  labels: fc.uniqueArray(fc.constantFrom('x', 'y', 'z')),
  version: fc.constantFrom('1', '2', '3'),
});
const entryOf = (object: Thing): Entry<Thing> => ({ key: object.key, version: object.version, object });
const change: fc.Arbitrary<Change<Thing>> = fc.oneof(
  thing.map((object) => ({ type: 'upsert' as const, entry: entryOf(object) })),
  fc.constantFrom('a', 'b', 'c', 'd').map((key) => ({ type: 'delete' as const, key })),
);
const step = fc.oneof(
  { weight: 1, arbitrary: fc.uniqueArray(thing, { selector: ({ key }) => key }).map((list) => ({ list })) },
  { weight: 3, arbitrary: fc.array(change, { maxLength: 6 }).map((changes) => ({ changes })) },
);

const failOnError = (error: unknown): void => {
  throw error;
};

/** Keeps a copy from change sets alone, and checks each of them against it. */
function mirrorOf(copy: Map<string, Thing>): (changes: ChangeSet<Thing>) => void {
  return ({ upserts, previous, deletes }) => {
    const keys = [...upserts, ...deletes].map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
    upserts.forEach((object, i) => {
      expect(previous[i]).toBe(copy.get(object.key));
      copy.set(object.key, object);
    });
    for (const object of deletes) {
      expect(copy.get(object.key)).toBe(object);
      copy.delete(object.key);
    }
  };
}

test('change sets alone are enough to follow a store, and its indexes agree with it inside each of them', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), fc.nat({ max: 12 }), (steps, lateAt) => {
      const { store, replace, apply } = createStore<Thing>({ name: 'things', onListenerError: failOnError });
      const index = store.index(({ labels }) => labels);
      const early = new Map<string, Thing>();
      const late = new Map<string, Thing>();
      store.subscribe(mirrorOf(early));
      store.subscribe(() => {
        for (const label of ['x', 'y', 'z']) {
          const scanned = [...store.list()].filter(({ labels }) => labels.includes(label));
          expect(new Set(index.get(label))).toEqual(new Set(scanned));
        }
      });
      replace([]);
      steps.forEach((each, i) => {
        if (i === lateAt) store.subscribe(mirrorOf(late));
        if ('list' in each) replace(each.list.map(entryOf));
        else apply(each.changes);
      });
      const held = new Map([...store.list()].map((object) => [object.key, object]));
      expect(early).toEqual(held);
      if (lateAt < steps.length) expect(late).toEqual(held);
    }),
  );
});

test('a list that is swapped in is one change set with only what differs', () => {
  const { store, replace } = createStore<Thing>({ name: 'things', onListenerError: failOnError });
  const sets: ChangeSet<Thing>[] = [];
  const [a, b, c] = [
    { key: 'a', labels: [], version: '1' },
    { key: 'b', labels: [], version: '1' },
    { key: 'c', labels: [], version: '1' },
  ] as const;
  replace([a, b].map(entryOf));
  store.subscribe((changes) => sets.push(changes));
  sets.length = 0;
  const newB = { ...b, version: '2' };
  replace([newB, c].map(entryOf));
  expect(sets).toEqual([{ upserts: [newB, c], previous: [b, undefined], deletes: [a] }]);
});

test('a store is ready, and its subscribers told so, only with the first whole list, be it empty', async () => {
  const { store, replace, apply } = createStore<Thing>({ name: 'things', onListenerError: failOnError });
  let told = 0;
  store.subscribe(() => told++);
  expect(store.isReady).toBe(false);
  expect(() => apply([{ type: 'delete', key: 'a' }])).toThrow('before the first whole list');
  replace([]);
  await store.ready;
  expect([store.isReady, told]).toEqual([true, 1]);
});

test('a subscriber that throws is reported and takes nothing from the others', () => {
  const errors: unknown[] = [];
  const { store, replace } = createStore<Thing>({ name: 'things', onListenerError: (error) => errors.push(error) });
  let told = 0;
  store.subscribe(() => {
    throw new Error('mine');
  });
  store.subscribe(() => told++);
  replace([]);
  expect([errors.map(String), told]).toEqual([['Error: mine'], 1]);
});

test('objects that are the same to the reader make no change set and stay the same object', () => {
  const { store, replace, apply } = createStore<Thing>({
    name: 'things',
    same: (before, after) => before.labels.join() === after.labels.join(),
    onListenerError: failOnError,
  });
  const first = { key: 'a', labels: ['x'], version: '1' };
  replace([entryOf(first)]);
  let told = 0;
  store.subscribe(() => told++);
  apply([{ type: 'upsert', entry: entryOf({ ...first, version: '2' }) }]);
  expect([told, store.get('a')]).toEqual([1, first]);
});

test('an index whose function throws for an object, or a `same` that throws, stops no commit', () => {
  const errors: unknown[] = [];
  const { store, replace, apply } = createStore<Thing>({
    name: 'things',
    same: () => {
      throw new Error('same');
    },
    onListenerError: (error) => errors.push(error),
  });
  const index = store.index(({ key, labels }) => {
    if (key === 'bad') throw new Error('index');
    return labels;
  });
  const told: string[][] = [];
  store.subscribe(({ upserts }) => told.push(upserts.map(({ key }) => key)));
  const [bad, good] = ['bad', 'good'].map((key) => entryOf({ key, labels: ['x'], version: '1' }));
  if (bad === undefined || good === undefined) throw new Error('unreachable');
  replace([bad, good]);
  expect([store.isReady, store.size, index.keys('x'), told]).toEqual([true, 2, ['good'], [['bad', 'good']]]);
  apply([{ type: 'upsert', entry: { ...good, version: '2' } }]);
  expect([told.at(-1), errors.map(String)]).toEqual([['good'], ['Error: index', 'Error: same']]);
});

test('a subscriber that another one unsubscribes hears nothing more, not even of the same commit', () => {
  const { store, replace } = createStore<Thing>({ name: 'things', onListenerError: failOnError });
  let told = 0;
  store.subscribe(() => end());
  const end = store.subscribe(() => told++);
  replace([]);
  expect(told).toBe(0);
});
