import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { generateProtos } from './generate.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'protos-'));
  mkdirSync(join(folder, 'proto', 'shop'), { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const proto = (name: string, text: string): void =>
  writeFileSync(join(folder, 'proto', 'shop', name), `syntax = "proto3";\npackage shop;\n${text}`);
const generate = (): boolean =>
  generateProtos({ protoDir: join(folder, 'proto'), include: ['./'], outDir: join(folder, 'gen') });
const generated = (name: string): string => join(folder, 'gen', 'shop', name);

describe('generateProtos', () => {
  test('generates once, again after a change, and deletes what lost its proto', () => {
    proto('a.proto', 'import "google/protobuf/duration.proto";\nmessage A { google.protobuf.Duration d = 1; }');
    proto('b.proto', 'enum B { ZERO = 0; ONE = 1; }\nmessage M { B b = 1; uint64 count = 2; }');
    expect(generate()).toBe(true);
    expect(generate()).toBe(false);
    expect(readFileSync(generated('a.ts'), 'utf8')).toContain('google/protobuf/duration.ts"');
    expect(readFileSync(generated('b.ts'), 'utf8')).toMatch(/export const B = \{[\s\S]*ONE: 1[\s\S]*count: bigint/);

    rmSync(join(folder, 'proto', 'shop', 'b.proto'));
    expect(generate()).toBe(true);
    expect([existsSync(generated('a.ts')), existsSync(generated('b.ts'))]).toEqual([true, false]);
  }, 60_000);

  test('descriptors come along where they are asked for', () => {
    proto('a.proto', 'message A { string words = 1; }');
    generate();
    const file = join(folder, 'gen', 'descriptors.ts');
    expect(existsSync(file)).toBe(false);
    const asked = { protoDir: join(folder, 'proto'), include: ['./'], outDir: join(folder, 'gen'), descriptors: true };
    expect(generateProtos(asked)).toBe(true);
    const [, base64 = ''] = /'([^']+)'/.exec(readFileSync(file, 'utf8')) ?? [];
    expect(inflateRawSync(Buffer.from(base64, 'base64')).includes('words')).toBe(true);
    expect(generateProtos(asked)).toBe(false);
  }, 60_000);

  test('a proto that is wrong or imports what is missing is named', () => {
    proto('a.proto', 'message A { Missing m = 1; }');
    expect(generate).toThrow(/buf generate failed: .*shop\/a\.proto:3:13/s);
    proto('a.proto', 'import "shop/none.proto";');
    expect(generate).toThrow(/shop\/none\.proto, which shop\/a\.proto names, is in none of/);
  }, 60_000);
});
