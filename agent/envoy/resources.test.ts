import { describe, expect, test } from '@jest/globals';
import { envoy } from '../testing/resources.ts';
import { listenerAddress } from './address.ts';
import { checkEnvoyResource, type EnvoyResource } from './resources.ts';

const LISTENER = 'type.googleapis.com/envoy.config.listener.v3.Listener';

function check(name: string, change: Partial<EnvoyResource>): void {
  const [, resource] = envoy('listener', 'l7/00000000000000ab', new Uint8Array(), 0xabn);
  if (resource.$case === 'envoy') checkEnvoyResource(name, { ...resource.value, ...change });
}

describe('a resource for Envoy', () => {
  test('has the name, type and id that go together', () => {
    check('envoy/listener/l7/00000000000000ab', {});
    check('envoy/listener/plain', { name: 'plain', listener: 0n });
  });

  test.each<[string, string, Partial<EnvoyResource>, string]>([
    ['of a kind of the future', 'envoy/runtime/x', { name: 'x', listener: 0n }, 'kind of Envoy resource'],
    ['of another type', 'envoy/route/l7/00000000000000ab', {}, 'holds a type.googleapis.com'],
    ['of another name', 'envoy/listener/other', {}, 'is about'],
    ['without a name', 'envoy/listener/', { name: '', listener: 0n }, 'is about'],
    ['with the id of another', 'envoy/listener/l7/00000000000000ab', { listener: 1n }, 'has the id'],
    ['for a port that no kernel row finds', 'envoy/listener/x', { name: 'x' }, 'has the id'],
  ])('%s is refused', (_, name, change, why) => {
    expect(() => check(name, { typeUrl: LISTENER, ...change })).toThrow(why);
  });
});

test('the address of a listener is the bytes that Envoy reads as one', () => {
  // address { socket_address { address: "0.0.0.0" port_value: 20001 } }
  const ipv4 = '120f0a0d1207302e302e302e3018a19c01';
  expect(Buffer.from(listenerAddress(20_001, false)).toString('hex')).toBe(ipv4);
  // additional_addresses { address { … address: "::" … } }
  const ipv6 = '8a020c0a0a0a0812023a3a18a19c01';
  expect(Buffer.from(listenerAddress(20_001, true)).toString('hex')).toBe(ipv4 + ipv6);
});
