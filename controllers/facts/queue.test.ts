import { expect, test } from '@jest/globals';
import type { Fact } from '../../reconcilers/facts.ts';
import { type FactChange, FactQueue } from './queue.ts';

const fact = (name: string): Fact => ({ kind: 'namespace', name, labels: {} });

function queue(): { queue: FactQueue; batches: (readonly FactChange[])[] } {
  const batches: (readonly FactChange[])[] = [];
  return { queue: new FactQueue((changes) => batches.push(changes)), batches };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test('nothing is delivered before it is opened, then all at once; the last word about a key counts', async () => {
  const { queue: facts, batches } = queue();
  facts.put('Namespace/a', [fact('a')]);
  facts.put('Namespace/b', [fact('b')]);
  facts.put('Namespace/a', []);
  await turn();
  expect(batches).toEqual([]);
  facts.open();
  expect(batches).toEqual([
    [
      { key: 'Namespace/a', facts: [] },
      { key: 'Namespace/b', facts: [fact('b')] },
    ],
  ]);
});

test('an empty start is delivered too, so that nodes learn that there is nothing', () => {
  const { queue: facts, batches } = queue();
  facts.open();
  facts.open();
  expect(batches).toEqual([[]]);
});

test('what comes in one turn of the event loop is one batch', async () => {
  const { queue: facts, batches } = queue();
  facts.open();
  facts.put('Namespace/a', [fact('a')]);
  facts.put('Namespace/b', [fact('b')]);
  await turn();
  facts.put('Namespace/c', [fact('c')]);
  await turn();
  expect(batches.map((batch) => batch.map(({ key }) => key))).toEqual([
    [],
    ['Namespace/a', 'Namespace/b'],
    ['Namespace/c'],
  ]);
});
