import { describe, expect, test } from '@jest/globals';
import { type PolicyEntry, Protocol, Verdict } from '@weft/node-api';
import { httpSet } from '../testing/resources.ts';
import { policyRows } from './policy-rows.ts';

const SET = 0x101n;
const LISTENER = 0xfedcba9876543210n;

/** The rows of a set with one entry for Envoy, changed. */
function rows(change: Partial<PolicyEntry>, portOf: (listener: bigint) => number | undefined = () => 20_001) {
  const [name, resource] = httpSet(SET, 7n, LISTENER);
  if (resource.$case !== 'policySet') throw new Error('unreachable');
  const entries = resource.value.entries.map((entry) => ({ ...entry, ...change }));
  return policyRows(name, { ...resource.value, entries }, portOf);
}

describe('an entry for Envoy', () => {
  test('becomes a row with the port of its listener', () => {
    const portOf = (listener: bigint) => (listener === LISTENER ? 20_777 : 1);
    expect(rows({}, portOf)).toMatchObject([{ set: SET, class: 7n, port: 80, verdict: 'proxy', proxyPort: 20_777 }]);
  });

  test('only it has a port', () => {
    const [row] = rows({ verdict: Verdict.VERDICT_ALLOW, listener: 0n });
    expect(row).toMatchObject({ verdict: 'allow' });
    expect(row).not.toHaveProperty('proxyPort');
  });

  test.each<[string, Partial<PolicyEntry>, string]>([
    ['without a listener', { listener: 0n }, 'names no listener'],
    ['of another protocol', { protocol: Protocol.PROTOCOL_UDP }, 'not TCP'],
    ['of any protocol', { protocol: Protocol.PROTOCOL_ANY, port: 0, portBits: 0 }, 'not TCP'],
    ['that allows by itself', { verdict: Verdict.VERDICT_ALLOW }, 'its verdict is allow'],
    ['that denies by itself', { verdict: Verdict.VERDICT_DENY }, 'its verdict is deny'],
  ])('%s is refused', (_, change, why) => {
    expect(() => rows(change)).toThrow(why);
  });

  test('with a verdict of the future is refused', () => {
    const entry = JSON.parse('{"verdict":3}');
    expect(() => rows(entry)).toThrow('does not know');
  });

  test('without a port is refused', () => {
    expect(() => rows({}, () => undefined)).toThrow('no port left');
  });
});
