import { expect, test } from '@jest/globals';
import type { RequestRecord } from 'bpf-loader-napi';
import fc from 'fast-check';
import { RequestRing } from './request-ring.ts';

const record = (path: string): RequestRecord => ({
  time: 1795551019191,
  listener: 0xffff_ffff_ffff_ffffn,
  route: 'denied',
  method: 'GET',
  path,
  authority: '',
  protocol: 'HTTP/2',
  status: 403,
  flags: '',
  details: '',
  durationMs: 0,
  receivedBytes: 0,
  sentBytes: 0,
  source: 'fd00::1',
  sourcePort: 1,
  destination: 'fd00::2',
  destinationPort: 2,
  userAgent: '',
});

test('what it holds are the last records as they were, however long they are, and it never holds more than it may', () => {
  const size = 8_192;
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'binary', maxLength: 150, size: 'max' }), {
        minLength: 30,
        maxLength: 200,
        size: 'max',
      }),
      (paths) => {
        const ring = new RequestRing(size);
        for (const [at, path] of paths.entries()) {
          ring.push(record(path), at * 10);
          expect(ring.get(ring.end - 1)).toEqual(record(path));
        }
        expect(ring.end).toBe(paths.length);
        let held = 0;
        for (let index = ring.start; index < ring.end; index++) {
          expect(ring.get(index)).toEqual(record(paths[index] ?? ''));
          expect(ring.numberOf(index)).toBe(index * 10);
          held += Buffer.byteLength(
            JSON.stringify({ ...record(paths[index] ?? ''), listener: `${record('').listener}` }),
          );
        }
        expect(held).toBeLessThanOrEqual(size);
        // It gives way only as far as it must: half of the memory is always in use once there was enough to hold.
        if (ring.start > 0) expect(held).toBeGreaterThan(size / 2);
        expect(ring.get(ring.start - 1)).toBeUndefined();
        expect(ring.get(ring.end)).toBeUndefined();
      },
    ),
    { numRuns: 30, endOnFailure: true },
  );
});

test('small records do not grow its index, and one that is larger than its memory is lost', () => {
  const ring = new RequestRing(64 << 20);
  for (let number = 0; number < 40_000; number++) ring.push(record('/'), number);
  expect(ring.end - ring.start).toBe(16_384);
  expect(ring.numberOf(ring.start)).toBe(40_000 - 16_384);
  const small = new RequestRing(100);
  small.push(record('/'), 0);
  expect([small.end, small.lost]).toEqual([0, 1]);
});
