import { expect, test } from '@jest/globals';
import { onEnd, undoAll } from './cleanup.ts';

test('what is left is undone latest first, once; one that fails does not hold up the others', async () => {
  const order: string[] = [];
  onEnd(() => void order.push('first'));
  onEnd(() => {
    throw new Error('stuck');
  });
  const third = onEnd(() => void order.push('third'));
  onEnd(() => void order.push('last'));
  await third();
  await undoAll();
  await third();
  await undoAll();
  expect(order).toEqual(['third', 'last', 'first']);
});
