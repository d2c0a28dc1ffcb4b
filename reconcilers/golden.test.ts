import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { compileFromScratch } from './compiler.ts';
import { changeOf } from './testing/changes.ts';
import { golden, goldenCases } from './testing/golden.ts';
import { Held } from './testing/held.ts';
import { render } from './testing/render.ts';

const folder = fileURLToPath(new URL('.', import.meta.url));

test.each(goldenCases(folder))('$name compiles as before', ({ name, objects, expected }) => {
  const held = new Held().apply(compileFromScratch(objects.map(changeOf)));
  expect(golden(folder, name, render(held))).toEqual(expected);
});
