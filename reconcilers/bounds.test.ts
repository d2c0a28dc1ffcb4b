import { expect, test } from '@jest/globals';
import { Compiler } from './compiler.ts';
import { Generator, large, toChange } from './testing/generator.ts';

/** Well below 1,000: the cluster has about as many selectors, and looking at each of them has to show. */
const few = 250;

test('among 100,000 pods one pod, slice or namespaced policy visits few records', () => {
  const generator = new Generator({ ...large, services: 500 });
  const compiler = new Compiler();
  compiler.update([...generator.objects()].map(toChange));
  for (let i = 0; i < 100; i++) {
    const pod = toChange(generator.pod(i * 997, 1));
    const relabelled = compiler.update([pod]);
    expect(relabelled.visited).toBeLessThanOrEqual(few);
    expect(relabelled.visited).toBeGreaterThan(0);
    expect(compiler.update([{ key: pod.key, facts: [] }]).visited).toBeLessThanOrEqual(few);
    expect(compiler.update([toChange(generator.pod(i * 997))]).visited).toBeLessThanOrEqual(few);
    expect(compiler.update([toChange(generator.endpointSlice(i, 1))]).visited).toBeLessThanOrEqual(few);
    expect(compiler.update([toChange(generator.policy(i * 10 + 1, 2))]).visited).toBeLessThanOrEqual(2000);
  }
}, 180_000);
