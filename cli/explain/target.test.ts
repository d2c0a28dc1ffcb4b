import { expect, test } from '@jest/globals';
import { parseDestination, parseTarget } from './target.ts';

test.each([
  ['frontend-1', { kind: 'pod', namespace: 'here', name: 'frontend-1' }],
  ['shop/frontend-1', { kind: 'pod', namespace: 'shop', name: 'frontend-1' }],
  ['deploy/frontend', { kind: 'deployment', namespace: 'here', name: 'frontend' }],
  ['shop/deploy/frontend', { kind: 'deployment', namespace: 'shop', name: 'frontend' }],
  ['deploy/shop/frontend', { kind: 'deployment', namespace: 'shop', name: 'frontend' }],
  ['svc/shop/api', { kind: 'service', namespace: 'shop', name: 'api' }],
  ['pod/svc/api', { kind: 'pod', namespace: 'svc', name: 'api' }],
  ['sts/db', { kind: 'statefulset', namespace: 'here', name: 'db' }],
  ['node/node1', { kind: 'node', name: 'node1' }],
  ['203.0.113.1', { kind: 'address', address: '203.0.113.1' }],
  ['fd00::1', { kind: 'address', address: 'fd00::1' }],
  ['[fd00::1]', { kind: 'address', address: 'fd00::1' }],
])('%s is understood', (text, expected) => {
  expect(parseTarget(text, 'here')).toEqual(expected);
});

test.each(['', '/', 'a//b', 'shop/Frontend', 'a/b/c/d', 'x/y/z', 'constructor/a/b', '10.1.2.3/24', 'a b', '-a'])(
  '%j is refused with the forms that there are',
  (text) => {
    expect(() => parseTarget(text, 'here')).toThrow(/is neither an address nor a name as/);
  },
);

test.each([
  ['shop/api:80', 80, 'TCP'],
  ['shop/api:http', 'http', 'TCP'],
  ['shop/api:53/udp', 53, 'UDP'],
  ['svc/shop/api:65535/SCTP', 65_535, 'SCTP'],
  ['[fd00::1]:80', 80, 'TCP'],
])('%s has its port and protocol', (text, port, protocol) => {
  expect(parseDestination(text, { namespace: 'here' })).toMatchObject({ port, protocol });
});

test('--protocol says the protocol, and ICMP has no port', () => {
  expect(parseDestination('shop/api:80', { namespace: 'x', protocol: 'udp' })).toMatchObject({
    port: 80,
    protocol: 'UDP',
  });
  expect(parseDestination('fd00::1', { namespace: 'x', protocol: 'icmp' })).toEqual({
    target: { kind: 'address', address: 'fd00::1' },
    port: undefined,
    protocol: 'ICMP',
  });
});

test.each([
  ['shop/api', undefined, 'names no port: write shop/api:80'],
  ['fd00::1:80', undefined, 'write [fd00::1:80]:80'],
  ['1:2:3:4:5:6:7:8:80', undefined, 'write IPv6 addresses in brackets: [1:2:3:4:5:6:7:8]:80'],
  ['shop/api:0', undefined, '0 is no port: they go from 1 to 65535'],
  ['shop/api:65536', undefined, '65536 is no port'],
  ['shop/api:80/quic', undefined, 'quic is no protocol: tcp, udp, sctp or icmp'],
  ['shop/api:80/icmp', undefined, 'ICMP has no ports'],
  ['shop/api:80/udp', 'tcp', 'says UDP, --protocol says TCP'],
])('%s with protocol %s: %s', (text, protocol, message) => {
  const options = { namespace: 'here', ...(protocol === undefined ? {} : { protocol }) };
  expect(() => parseDestination(text, options)).toThrow(message);
});
