import { expect, test } from '@jest/globals';
import { readCosts } from './cost.ts';

test('each line of the measurement is a result without a baseline', () => {
  const output =
    "running 1 test\nIPv4, same node: 83 ns a packet\nIPv6, not a pod's: 40 ns a packet\ntest result: ok\n";
  expect(readCosts(output)).toEqual([
    expect.objectContaining({
      case: 'cost (IPv4, same node)',
      metric: 'cost',
      unit: 'ns/packet',
      weft: 83,
      baseline: null,
    }),
    expect.objectContaining({ case: "cost (IPv6, not a pod's)", weft: 40 }),
  ]);
});

test('a run that measured nothing is an error that shows what it said', () => {
  expect(() => readCosts('test result: ok. 0 passed; skipped: needs root')).toThrow(/needs root/);
});
