import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { scratchDirectory } from '../testing/scratch.ts';
import { ListenerPorts } from './ports.ts';

const RANGE = [20_000, 20_003] as const;
const file = () => join(scratchDirectory(), 'ports.json');
const portsOf = (ports: ListenerPorts, ...ids: bigint[]) => ids.map((id) => ports.portOf(id));

describe('the ports of listeners', () => {
  test('are the same after a restart', () => {
    const path = file();
    const ports = new ListenerPorts(path, RANGE);
    expect(ports.load()).toBe('absent');
    ports.reserve([1n, 2n ** 64n - 1n], 0);
    const again = new ListenerPorts(path, RANGE);
    expect(again.load()).toBe('loaded');
    expect(portsOf(again, 1n, 2n ** 64n - 1n)).toEqual(portsOf(ports, 1n, 2n ** 64n - 1n));
    again.reserve([3n], 0);
    expect(new Set(portsOf(again, 1n, 2n ** 64n - 1n, 3n)).size).toBe(3);
  });

  test('rest after use, also over a restart; who finds none gets none', () => {
    const path = file();
    const ports = new ListenerPorts(path, RANGE);
    ports.reserve([1n, 2n, 3n, 4n, 5n], 0);
    expect(ports.portOf(4n)).toBeGreaterThanOrEqual(RANGE[0]);
    expect(ports.portOf(5n)).toBeUndefined();
    const freed = ports.portOf(1n);
    ports.release(1n, 1_000);
    const again = new ListenerPorts(path, RANGE);
    again.load();
    again.reserve([5n], 500_000);
    expect(again.portOf(5n)).toBeUndefined();
    again.reserve([5n], 601_001);
    expect(again.portOf(5n)).toBe(freed);
  });

  test('a file that is cut anywhere, or says that two share a port, is damaged and breaks nothing', () => {
    const path = file();
    new ListenerPorts(path, RANGE).reserve([1n, 2n], 0);
    const whole = readFileSync(path, 'utf8');
    const shared =
      '{"version":1,"next":20000,"ports":{"0000000000000001":20000,"0000000000000002":20000},"released":{}}';
    for (const text of [...Array.from(whole, (_, length) => whole.slice(0, length)), shared, '[]', 'null']) {
      writeFileSync(path, text);
      const ports = new ListenerPorts(path, RANGE);
      expect(ports.load()).toBe('damaged');
      expect(ports.portOf(1n)).toBeUndefined();
    }
  });

  test('those that the kernel still names are avoided', () => {
    const ports = new ListenerPorts(file(), RANGE);
    ports.avoid([20_000, 20_001, 20_002], 0);
    ports.reserve([1n, 2n], 1);
    expect(portsOf(ports, 1n, 2n)).toEqual([20_003, undefined]);
  });
});
