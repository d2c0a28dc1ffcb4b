import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { scratchDirectory } from '../testing/scratch.ts';
import { Registry } from './registry.ts';

const CIDRS = ['10.244.1.0/24', 'fd00:10:244:1::/64'];
const pod = (id: string) => ({
  containerId: id,
  ifName: 'eth0',
  hostIfName: `weft${id}`,
  ifindex: 7,
  uid: `uid-${id}`,
  namespace: 'shop',
  name: id,
});
const file = () => join(scratchDirectory(), 'endpoints.json');

describe('the registry of pods', () => {
  test('knows every pod again after a restart', () => {
    const path = file();
    const registry = new Registry(path, 16);
    registry.add(pod('a'), CIDRS, 0);
    registry.add({ ...pod('b'), proxy: { netns: '/run/netns/b', ifName: 'eth0' } }, CIDRS, 0);
    registry.remove({ containerId: 'a', ifName: 'eth0' }, 0);
    const restarted = new Registry(path, 16);
    expect(restarted.load()).toBeUndefined();
    expect(restarted.all()).toEqual(registry.all());
    expect(restarted.add(pod('c'), CIDRS, 1)).toMatchObject({ ipv4: '10.244.1.4', slot: 2 });
  });

  test('answers a repeated request with the same slot and addresses', () => {
    const registry = new Registry(file(), 16);
    expect(registry.add(pod('a'), CIDRS, 0)).toEqual(registry.add(pod('a'), CIDRS, 5));
  });

  test('a file that is cut anywhere is named damaged and breaks nothing', () => {
    const path = file();
    new Registry(path, 16).add(pod('a'), CIDRS, 0);
    const whole = readFileSync(path);
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      const registry = new Registry(path, 16);
      expect(registry.load()).toMatch('damaged');
      expect(registry.all()).toEqual([]);
    }
  });

  test('refuses more pods than the datapath has slots', () => {
    const registry = new Registry(file(), 1);
    registry.add(pod('a'), CIDRS, 0);
    expect(() => registry.add(pod('b'), CIDRS, 0)).toThrow('this node has 1 pods already');
  });
});
