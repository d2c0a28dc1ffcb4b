import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { structuralOf } from './crd.ts';
import { NotStructural } from './structural.ts';

describe('a zod schema becomes structural', () => {
  test('a union told apart by a field becomes one object, and each field of only some members a rule', () => {
    const schema = z.discriminatedUnion('method', [
      z.object({ method: z.literal('WireGuard'), port: z.int().min(1).max(65_535).optional() }),
      z.object({ method: z.literal('IPsec'), key: z.string() }),
      z.object({ method: z.literal('None') }),
    ]);
    expect(structuralOf(schema)).toEqual({
      type: 'object',
      required: ['method'],
      properties: {
        method: { type: 'string', enum: ['WireGuard', 'IPsec', 'None'] },
        port: { type: 'integer', minimum: 1, maximum: 65_535 },
        key: { type: 'string' },
      },
      'x-kubernetes-validations': [
        {
          rule: "!has(self.port) || (has(self.method) && self.method in ['WireGuard'])",
          message: 'port is only for method WireGuard; remove it or change method',
        },
        {
          rule: "!has(self.key) || (has(self.method) && self.method in ['IPsec'])",
          message: 'key is only for method IPsec; remove it or change method',
        },
        {
          rule: "has(self.key) || !(has(self.method) && self.method in ['IPsec'])",
          message: 'method IPsec needs key',
        },
      ],
    });
  });

  test('bounds that only JavaScript has are dropped, real ones stay', () => {
    expect(structuralOf(z.object({ free: z.int(), bound: z.int().min(3) })).properties).toEqual({
      free: { type: 'integer' },
      bound: { type: 'integer', minimum: 3 },
    });
  });

  test('an object with named fields has no additionalProperties, a map keeps them', () => {
    const schema = structuralOf(z.object({ labels: z.record(z.string(), z.strictObject({ a: z.string() })) }));
    expect(schema.properties?.labels?.additionalProperties).toEqual({
      type: 'object',
      required: ['a'],
      properties: { a: { type: 'string' } },
    });
  });

  test('a union of plain values is refused, and the error says where it stands', () => {
    expect(() => structuralOf(z.object({ port: z.union([z.int(), z.string()]) }))).toThrow(
      new NotStructural('.port: a union of anything but objects has no structural form'),
    );
  });

  test('a field that only some members have may not have a default, since the API server would fill it in for all', () => {
    const schema = z.discriminatedUnion('type', [
      z.object({ type: z.literal('A'), seconds: z.int().default(3) }),
      z.object({ type: z.literal('B') }),
    ]);
    expect(() => structuralOf(schema)).toThrow(/\.seconds: a field that not all members of a union have/);
  });

  test('a value without a type is refused', () => {
    expect(() => structuralOf(z.object({ anything: z.unknown() }))).toThrow(/\.anything: a structural schema names/);
  });
});
