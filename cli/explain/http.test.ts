import { describe, expect, test } from '@jest/globals';
import type { HttpMatch } from '@weft/node-api';
import { noPaint } from '../text.ts';
import { combine, notAPod, parseSide, type Side } from './combine.ts';
import { matchText, normalisePath, parseRequest } from './http.ts';
import { because, explainText } from './text.ts';

const match = (more: Partial<HttpMatch> = {}): HttpMatch => ({
  method: 'GET',
  path: '/api/v1/.*',
  host: '',
  headers: [],
  ...more,
});
const POLICY = 'CiliumNetworkPolicy/shop/api';

/** What an agent answers where Envoy decides by these matches, one a rule. */
const proxied = (...matches: HttpMatch[]): object => ({
  decisions: [
    {
      direction: 'ingress',
      pod: 'shop/api',
      verdict: 'proxy',
      reason: 'rule',
      rule: { policy: POLICY, index: 0 },
      listener: {
        id: '00000000000000ff',
        rules: matches.map((one, index) => ({ policy: POLICY, direction: 'ingress', index, deny: false, http: [one] })),
      },
    },
  ],
});

const ask = (matches: HttpMatch[], line?: string, more: { host?: string; header?: string[] } = {}): Side => {
  const [method, path] = line?.split(' ') ?? [];
  return parseSide(proxied(...matches), 'ingress', 'node1', parseRequest(method, path, more));
};

describe('a request is judged as Envoy would', () => {
  test.each<[string, HttpMatch[], string]>([
    ['GET /api/v1/users', [match()], 'allowed'],
    ['POST /api/v1/users', [match()], 'denied'],
    ['GET /v0/api/v1/users', [match()], 'denied'],
    ['GET /api/v1/users?x=1', [match({ path: '/api/v1/users' })], 'denied'],
    ['GET /api/v1/../v2', [match()], 'denied'],
    ['GET //api/./v1/x', [match()], 'allowed'],
    ['PUT /x', [match(), match({ method: 'P.T', path: '' })], 'allowed'],
    ['GET /api/v1/users', [match({ headers: [{ name: 'constructor', mismatch: '' }] })], 'denied'],
  ])('%s by %j: %s', (line, matches, verdict) => {
    expect(ask(matches, line).verdict).toBe(verdict);
  });

  test('the rule that allows it is named', () => {
    const side = ask([match({ path: '/other' }), match()], 'GET /api/v1/users');
    expect(side).toMatchObject({ verdict: 'allowed', reason: 'http', node: 'node1', rule: { name: 'api', index: 1 } });
    expect(because(side, 'shop/api', 'ingress')).toBe(
      'allowed by CiliumNetworkPolicy shop/api, rule 1 (GET /api/v1/.*)',
    );
  });

  test('where none does, all are named', () => {
    expect(because(ask([match(), match({ method: '', path: '/x' })], 'GET /y'), 'shop/api', 'ingress')).toBe(
      'denied, Envoy answers 403, since none of these rules matches: CiliumNetworkPolicy shop/api, rule 0 (GET /api/v1/.*); CiliumNetworkPolicy shop/api, rule 1 (any method /x)',
    );
  });

  test('headers: the value, that it is there, several values, and what lets a mismatch pass', () => {
    const by = (name: string, value?: string, mismatch = '') => [
      match({ headers: [{ name, ...(value === undefined ? {} : { value }), mismatch }] }),
    ];
    const verdict = (matches: HttpMatch[], ...header: string[]) => ask(matches, 'GET /api/v1/x', { header }).verdict;
    expect(verdict(by('x-version', '2'), 'X-Version: 2')).toBe('allowed');
    expect(verdict(by('x-version', '2'), 'X-Version:3')).toBe('denied');
    expect(verdict(by('x-version'), 'x-version:')).toBe('allowed');
    expect(verdict(by('x-version'))).toBe('denied');
    expect(verdict(by('x-version', '1,2'), 'x-version: 1', 'x-version: 2')).toBe('allowed');
    expect(verdict(by('x-version', '2', 'LOG'))).toBe('allowed');
  });

  test('a rule about the host needs one', () => {
    const matches = [match({ host: 'api[.]shop' })];
    expect(() => ask(matches, 'GET /api/v1/x')).toThrow('looks at the host: say which with --host');
    expect(ask(matches, 'GET /api/v1/x', { host: 'api.shop' }).verdict).toBe('allowed');
    expect(ask(matches, 'GET /api/v1/x', { header: ['Host: apixshop'] }).verdict).toBe('denied');
  });
});

test('without a request it depends, and the rules are listed', () => {
  const side = ask([match()]);
  const verdict = combine(notAPod, side);
  expect(verdict.verdict).toBe('by-request');
  expect(combine(side, { ...side, verdict: 'denied' }).verdict).toBe('denied');
  const pair = {
    source: { name: '203.0.113.1', address: '203.0.113.1' },
    destination: { name: 'shop/api', address: '10.244.0.4' },
    protocol: 'TCP' as const,
    port: 80,
    ...verdict,
    simulator: 'agrees' as const,
  };
  expect(
    explainText([pair], noPaint),
  ).toBe(`203.0.113.1 to shop/api (10.244.0.4), port 80/TCP: it depends on the request
  egress: 203.0.113.1 is no pod with a network of its own, so no policy is about it
  ingress at node1: Envoy decides on each request, by these rules: CiliumNetworkPolicy shop/api, rule 0 (GET /api/v1/.*)`);
});

test('rules that the agent does not know allow nothing', () => {
  const side = ask([], 'GET /api/v1/users');
  expect(side.verdict).toBe('by-request');
  expect(because(side, 'shop/api', 'ingress')).toContain('by rules that the agent does not know (yet)');
});

test.each([
  ['/a/b', '/a/b'],
  ['/a//b///c', '/a/b/c'],
  ['/a/./b/../c', '/a/c'],
  ['/../../etc', '/etc'],
  ['/a/..', '/'],
  ['/a/b/.', '/a/b/'],
  ['/%61%2Eb%20', '/a.b%20'],
  ['/%2e%2e/x', '/x'],
  ['/a\\b', '/a/b'],
  ['/a?x=//../%61', '/a?x=//../%61'],
  ['/public/..;/secret', '/secret'],
  ['/a/.;x=1', '/a/'],
  ['/a/%2e%2e;x', '/a/..;x'],
  ['/a;x/b', '/a;x/b'],
  ['/a{"}|^`<>', '/a%7B%22%7D%7C%5E%60%3C%3E'],
  ['///', '//'],
])('the path %s is %s to rules', (text, expected) => {
  expect(normalisePath(text)).toBe(expected);
});

test.each([
  [['GET', undefined], {}, 'GET of which path?'],
  [['GET', 'api'], {}, 'does not begin with a slash'],
  [['GET', '/a%2fb'], {}, 'Envoy refuses'],
  [['GET', '/a b'], {}, 'write them as %XX'],
  [['GET', '/a%00'], {}, 'has %00'],
  [['GET', '/a%%61'], {}, 'write it as %25'],
  [['GET', '/a#b'], {}, 'has a fragment'],
  [['G T', '/'], {}, 'is no method'],
  [['GET', '/'], { header: ['x'] }, "is no header as 'X-Version: 2'"],
  [['GET', '/'], { host: 'a', header: ['host: b'] }, 'both name the host'],
  [[undefined, undefined], { host: 'a' }, 'name its METHOD and PATH'],
] as const)('%j %j: %s', ([method, path], more, message) => {
  expect(() => parseRequest(method, path, more)).toThrow(message);
});

test('a match as text', () => {
  expect(
    matchText(
      match({
        host: 'api',
        headers: [
          { name: 'a', value: '1', mismatch: 'LOG' },
          { name: 'b', mismatch: '' },
        ],
      }),
    ),
  ).toBe('GET /api/v1/.*, host api, header a: 1 (else LOG), header b');
});
