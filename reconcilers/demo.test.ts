import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import type { HttpRequest } from './http/match.ts';
import { simulate } from './index.ts';
import { changeOf } from './testing/changes.ts';
import { goldenCases } from './testing/golden.ts';

const cases = goldenCases(fileURLToPath(new URL('policy/testdata', import.meta.url)));

function verdict(act: string, from: string, request = ''): string {
  const found = cases.find(({ name }) => name === act);
  if (found === undefined) throw new Error(`there is no act ${act}`);
  const facts = found.objects.flatMap((object) => changeOf(object).facts);
  const source = from.includes('.') ? { address: from } : { pod: from };
  const { verdict: result, rule } = simulate(facts, {
    from: source,
    to: { pod: 'shop/api-v2' },
    protocol: 'TCP',
    port: 80,
    ...asking(request),
  });
  return `${result} ${rule?.policy ?? 'by default'}`;
}

function asking(request: string): { http?: HttpRequest } {
  const [method = '', path = ''] = request.split(' ');
  return request === '' ? {} : { http: { method, path, host: 'api', headers: {} } };
}

const cluster = 'CiliumClusterwideNetworkPolicy/cluster-only';
const api = 'CiliumNetworkPolicy/shop/api-from-frontend';

test.each([
  ['act-a-nothing', 'allow by default', 'allow by default', 'allow by default'],
  ['act-b-cluster-only', `allow ${cluster}`, `allow ${cluster}`, 'deny by default'],
  ['act-c-api-from-frontend', `allow ${api}`, 'deny by default', 'deny by default'],
  ['act-d-both', `allow ${cluster}`, `allow ${cluster}`, 'deny by default'],
])(
  'in %s the frontend, the stranger and a client outside get what the issue says',
  (act, frontend, stranger, outside) => {
    expect([verdict(act, 'shop/frontend'), verdict(act, 'shop/stranger'), verdict(act, '203.0.113.7')]).toEqual([
      frontend,
      stranger,
      outside,
    ]);
  },
);

test.each([
  ['act-e-http', '', `proxy ${api}`, 'deny by default'],
  ['act-e-http', 'GET /api/v1/users', `allow ${api}`, 'deny by default'],
  ['act-e-http', 'POST /api/v1/users', 'deny by default', 'deny by default'],
  ['act-e-http', 'GET /api/v1/admin', 'deny by default', 'deny by default'],
  ['act-f-http-and-cluster-only', 'POST /api/v1/users', `allow ${cluster}`, `allow ${cluster}`],
])('in %s "%s" of the frontend: %s, of the stranger: %s', (act, request, frontend, stranger) => {
  expect([verdict(act, 'shop/frontend', request), verdict(act, 'shop/stranger', request)]).toEqual([
    frontend,
    stranger,
  ]);
});

test('a node always reaches its own pods, another node only if allowed', () => {
  expect(verdict('act-c-api-from-frontend', '192.168.0.2')).toBe('allow by default');
  expect(verdict('act-c-api-from-frontend', '192.168.0.1')).toBe('deny by default');
});
