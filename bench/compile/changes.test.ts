import { isDeepStrictEqual } from 'node:util';
import { expect, test } from '@jest/globals';
import { Compiler } from '../../reconcilers/index.ts';
import { Generator, toChange } from '../../reconcilers/testing/generator.ts';
import { Held } from '../../reconcilers/testing/held.ts';
import { changeKinds, changes } from './changes.ts';

const small = new Generator({ nodes: 10, pods: 200, services: 20, policies: 100 });

test.each(changeKinds)('each change of kind %s causes deltas, and every third leaves the cluster as it was', (kind) => {
  const compiler = new Compiler();
  const held = new Held().apply(compiler.update([...small.objects()].map(toChange)));
  const before = held.dump();
  const sequence = changes(kind, small)[Symbol.iterator]();
  for (let step = 0; step < 12; step++) {
    const { value: make } = sequence.next();
    const output = compiler.update([make()]);
    const told = [output.shared, ...output.views.values()].map(({ upserts, deletes }) => upserts.size + deletes.size);
    expect(told.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
    held.apply(output);
    if (step % 3 === 2) expect(isDeepStrictEqual(held.dump(), before)).toBe(true);
  }
});
