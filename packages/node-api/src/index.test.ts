import { describe, expect, test } from '@jest/globals';
import { NodeResource } from './index.ts';

describe('node resources', () => {
  test('64-bit ids survive encoding', () => {
    const id = 0xfedc_ba98_7654_3213n;
    const resource = NodeResource.fromPartial({
      resource: { $case: 'policySet', value: { id, entries: [{ class: 2n ** 63n + 1n, port: 80, portBits: 16 }] } },
    });
    const decoded = NodeResource.decode(NodeResource.encode(resource).finish());
    expect(decoded).toEqual(resource);
    expect(decoded.resource).toMatchObject({ value: { id, entries: [{ class: 2n ** 63n + 1n }] } });
  });
});
