import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Assembler, parsePosition, splitDelta } from './parts.ts';
import { resource } from './resource.ts';

const part = (index: number, parts: number, revision = '7', bytes = 10) => ({
  typeUrl: 't',
  nonce: `n${index}`,
  position: { revision, part: index, parts },
  upserts: [resource('t', `r${index}`, Buffer.alloc(bytes))],
  removes: [],
});

describe('splitDelta', () => {
  test('loses and reorders nothing, and keeps each part within bounds unless one resource is larger', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5_000)), fc.array(fc.string()), (sizes, removes) => {
        const upserts = sizes.map((size, index) => resource('t', `r${index}`, Buffer.alloc(size)));
        const parts = splitDelta({ upserts, removes }, 2_000);
        expect(parts.flatMap((each) => each.upserts)).toEqual(upserts);
        expect(parts.flatMap((each) => each.removes)).toEqual(removes);
        for (const each of parts.filter(({ upserts }) => upserts.length > 1)) {
          expect(each.upserts.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThanOrEqual(2_000);
        }
      }),
    );
  });

  test('an empty delta is one empty part', () => {
    expect(splitDelta({ upserts: [], removes: [] }, 10)).toEqual([{ upserts: [], removes: [] }]);
  });
});

describe('parsePosition', () => {
  test('takes a version of a server that does not split for a whole update', () => {
    for (const text of ['', 'v1', '1/2', 'x/0/1', 'x/3/2', '1/1/9999999999', '2026-01-01/a/b']) {
      expect(parsePosition(text)).toEqual({ revision: text, part: 1, parts: 1 });
    }
  });
});

describe('Assembler', () => {
  test('gives the whole with the last part', () => {
    const assembler = new Assembler(10_000);
    expect(assembler.add(part(1, 2))).toBeUndefined();
    expect(assembler.add(part(2, 2))).toMatchObject({
      nonces: ['n1', 'n2'],
      upserts: [{ name: 'r1' }, { name: 'r2' }],
    });
    expect(assembler.add(part(1, 1))).toMatchObject({ nonces: ['n1'] });
  });

  test('refuses parts that do not belong together', () => {
    const started = (): Assembler => {
      const assembler = new Assembler(10_000);
      assembler.add(part(1, 3));
      return assembler;
    };
    expect(() => new Assembler(10_000).add(part(2, 3))).toThrow('part 7/2/3 of t came at the start of an update');
    expect(() => started().add(part(3, 3))).toThrow('part 7/3/3 of t came after 7/1/3');
    expect(() => started().add(part(2, 4))).toThrow('came after');
    expect(() => started().add(part(2, 3, '8'))).toThrow('came after');
  });

  test('refuses an update without end', () => {
    const assembler = new Assembler(10_000);
    expect(() => {
      for (let index = 1; index < 1_000; index += 1) assembler.add({ ...part(index, 1_000_000), upserts: [] });
    }).toThrow('larger than 10000 bytes');
  });
});
