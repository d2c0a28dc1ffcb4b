import { expect, test } from '@jest/globals';
import { duration, integer } from './flags.ts';

test('durations', () => {
  expect(['250ms', '30s', '5m', '2h', '0s'].map(duration)).toEqual([250, 30_000, 300_000, 7_200_000, 0]);
});

test.each(['', '5', 's', '-1s', '1.5h', '1d', '5m '])('%j is no duration', (text) => {
  expect(() => duration(text)).toThrow('It is a duration as 30s, 5m or 2h.');
});

test.each(['0', '65536', '', 'x', '-1', '1e3', ' 8'])('%j is no port', (text) => {
  expect(() => integer(1, 65_535)(text)).toThrow('It is a number from 1 to 65535.');
});

test('bounds are included', () => {
  expect(['1', '65535'].map(integer(1, 65_535))).toEqual([1, 65_535]);
});
