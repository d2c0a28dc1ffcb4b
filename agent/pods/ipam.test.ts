import { describe, expect, test } from '@jest/globals';
import { Ipam, QUARANTINE_MS } from './ipam.ts';

const CIDRS = ['10.244.1.0/29', 'fd00:10:244:1::/64'];

describe('address management', () => {
  test('skips network, gateway and broadcast, and says when all addresses are in use', () => {
    const ipam = new Ipam();
    const used = new Set<string>();
    const given: string[] = [];
    for (let i = 0; i < 5; i++) {
      const { ipv4 = '', ipv6 = '' } = ipam.allocate(CIDRS, used, 0);
      for (const address of [ipv4, ipv6]) used.add(address);
      given.push(ipv4);
    }
    expect(given).toEqual(['10.244.1.2', '10.244.1.3', '10.244.1.4', '10.244.1.5', '10.244.1.6']);
    expect(used).toContain('fd00:10:244:1::6');
    expect(() => ipam.allocate(CIDRS, used, 0)).toThrow(
      "all 5 addresses of this node's pod CIDR 10.244.1.0/29 are in use",
    );
  });

  test('gives a released address to nobody for a minute, also across a restart', () => {
    const ipam = new Ipam();
    const all = ['10.244.1.3', '10.244.1.4', '10.244.1.5', '10.244.1.6'];
    ipam.release('10.244.1.2', 1_000);
    const restarted = new Ipam(ipam.state(1_000));
    expect(() => restarted.allocate(['10.244.1.0/29'], new Set(all), 1_000 + QUARANTINE_MS - 1)).toThrow(
      'released less than',
    );
    expect(restarted.allocate(['10.244.1.0/29'], new Set(all), 1_000 + QUARANTINE_MS).ipv4).toBe('10.244.1.2');
  });

  test('takes the next address rather than the one just given back', () => {
    const ipam = new Ipam();
    const first = ipam.allocate(['10.244.1.0/24'], new Set(), 0).ipv4 ?? '';
    const restarted = new Ipam(ipam.state(0));
    expect(restarted.allocate(['10.244.1.0/24'], new Set(), QUARANTINE_MS * 2).ipv4).not.toBe(first);
  });
});
