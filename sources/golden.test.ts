import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { golden, goldenCases } from '../reconcilers/testing/golden.ts';
import { translate, trim } from './index.ts';

const folder = fileURLToPath(new URL('.', import.meta.url));

test.each(goldenCases(folder))(
  '$name is translated as before, also from what a store keeps',
  ({ name, objects, expected }) => {
    const results = objects.map((object) => translate(object.kind, object));
    expect(golden(folder, name, results)).toEqual(expected);
    expect(objects.map((object) => translate(object.kind, trim(object.kind, object)))).toEqual(results);
  },
);
