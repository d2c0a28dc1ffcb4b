import { expect, test } from '@jest/globals';
import { settle, VirtualClock } from '../../test/virtual-clock.ts';
import { createStore, type Entry } from '../store/store.ts';
import { Controller, type ControllerOptions, source } from './controller.ts';

interface Thing {
  readonly name: string;
  readonly of: readonly string[];
}
const entryOf = (name: string, of: readonly string[], version = '1'): Entry<Thing> => ({
  key: name,
  version,
  object: { name, of },
});

function started(options: Pick<ControllerOptions, 'sources'>) {
  const seen: string[] = [];
  const stop = new AbortController();
  const controller = new Controller({
    ...options,
    name: 'c',
    clock: new VirtualClock(),
    async reconcile(key) {
      seen.push(key);
      return undefined;
    },
  });
  return { seen, stop, controller, running: controller.run(stop.signal) };
}

test('no key is looked at before every source has its whole list', async () => {
  const one = createStore<Thing>({ name: 'one', onListenerError: () => {} });
  const two = createStore<Thing>({ name: 'two', onListenerError: () => {} });
  const { seen, stop, running } = started({
    sources: [source(one.store, ({ of }) => of), source(two.store, ({ of }) => of)],
  });
  one.replace([entryOf('a', ['x'])]);
  await settle();
  expect(seen).toEqual([]);
  two.replace([entryOf('b', ['y'])]);
  await settle();
  expect(seen).toEqual(['x', 'y']);
  stop.abort();
  await running;
});

test('the key that an object no longer concerns is looked at too, and that of one that is gone', async () => {
  const { store, replace, apply } = createStore<Thing>({ name: 'things', onListenerError: () => {} });
  const { seen, stop, running } = started({ sources: [source(store, ({ of }) => of)] });
  replace([entryOf('a', ['x'])]);
  await settle();
  seen.length = 0;
  apply([{ type: 'upsert', entry: entryOf('a', ['y'], '2') }]);
  await settle();
  expect(seen).toEqual(['x', 'y']);
  apply([{ type: 'delete', key: 'a' }]);
  await settle();
  expect(seen).toEqual(['x', 'y', 'y']);
  stop.abort();
  await running;
});

test('an object whose keys can not be told is reported and takes nothing from the others', async () => {
  const errors: unknown[] = [];
  const { store, replace } = createStore<Thing>({ name: 'things', onListenerError: (error) => errors.push(error) });
  const keysOf = ({ name, of }: Thing): readonly string[] => {
    if (name === 'bad') throw new Error('bad thing');
    return of;
  };
  const { seen, stop, running } = started({ sources: [source(store, keysOf)] });
  replace([entryOf('a', ['x']), entryOf('bad', ['z']), entryOf('b', ['y'])]);
  await settle();
  expect([seen, errors.map(String)]).toEqual([['x', 'y'], ['Error: bad thing']]);
  stop.abort();
  await running;
});

test('a controller that is run again, as in the next term as leader, begins with every key', async () => {
  const { store, replace } = createStore<Thing>({ name: 'things', onListenerError: () => {} });
  const { seen, stop, running, controller } = started({ sources: [source(store, ({ of }) => of)] });
  replace([entryOf('a', ['x']), entryOf('b', ['y'])]);
  await settle();
  stop.abort();
  await running;
  seen.length = 0;
  const next = new AbortController();
  const again = controller.run(next.signal);
  await settle();
  expect(seen).toEqual(['x', 'y']);
  next.abort();
  await again;
});
