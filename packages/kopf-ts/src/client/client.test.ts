import http from 'node:http';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';
import { VirtualClock } from '../../test/virtual-clock.ts';
import { KubeError } from '../errors.ts';
import { defineKind } from '../kind.ts';
import { KubeClient } from './client.ts';

const things = defineKind({ group: '', version: 'v1', plural: 'things', kind: 'Thing', namespaced: true });
const list = { kind: 'ThingList', metadata: { resourceVersion: '1' }, items: [{ metadata: { name: 'a' } }] };

let server: http.Server;
let client: KubeClient;
let clock: VirtualClock;
/** What the server does with each request. */
let answer: (response: http.ServerResponse) => void;
let requests: number[];
let urls: (string | undefined)[];

beforeEach(async () => {
  clock = new VirtualClock();
  requests = [];
  urls = [];
  server = http.createServer(({ url }, response) => {
    urls.push(url);
    requests.push(clock.monotonic());
    answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const config = new KubeConfig();
  config.loadFromClusterAndUser({ name: 's', server: `http://127.0.0.1:${port}`, skipTLSVerify: true }, { name: 'u' });
  client = new KubeClient(config, { clock, random: () => 0.5 });
});

afterEach(async () => {
  client.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** Moves time in steps of `ms` until `promise` has ended. */
async function patiently<T>(promise: Promise<T>, ms: number): Promise<T | KubeError> {
  let ended = false;
  const watched = promise
    .catch((error: unknown) => {
      if (error instanceof KubeError) return error;
      throw error;
    })
    .finally(() => {
      ended = true;
    });
  while (!ended) {
    await clock.advance(ms);
    // Bytes on a real socket take real time.
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return watched;
}

test('a 429 is waited out for as long as Retry-After says and a random share more, and repeated', async () => {
  answer = (response) => {
    if (requests.length < 3) response.writeHead(429, { 'retry-after': '2' }).end('{}');
    else response.end(JSON.stringify(list));
  };
  expect(await patiently(client.list(things), 100)).toEqual([{ metadata: { name: 'a' } }]);
  const [first = 0, second = 0, third = 0] = requests;
  expect(second - first).toBeGreaterThanOrEqual(2500);
  expect(third - second).toBeGreaterThanOrEqual(2500);
});

test('after so many repetitions a 429 is handed on', async () => {
  answer = (response) => response.writeHead(429, { 'retry-after': '1' }).end('{}');
  expect(await patiently(client.list(things, { retries: 2 }), 500)).toMatchObject({ status: 429, retryAfterMs: 1000 });
  expect(requests).toHaveLength(3);
});

test.each([
  ['no items', { ...list, items: undefined }],
  ['items that are no list', { ...list, items: {} }],
  ['an item without a name', { ...list, items: [{ metadata: { name: 'a' } }, { metadata: {} }] }],
  ['no resource version', { ...list, metadata: {} }],
])('an answer with %s is no list, rather than a shorter one', async (_, body) => {
  answer = (response) => response.end(JSON.stringify(body));
  await expect(client.list(things)).rejects.toThrow('list things: the answer is not a list');
});

test('an empty list that Go wrote as null is an empty list', async () => {
  answer = (response) => response.end(JSON.stringify({ ...list, items: null }));
  expect(await client.list(things)).toEqual([]);
});

const bookmark = `${JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '2' } } })}\n`;
const added = `${JSON.stringify({ type: 'ADDED', object: { metadata: { name: 'a', resourceVersion: '2' } } })}\n`;

test.each([
  { name: 'never answers', sent: undefined, says: 'no answer within 30 s', after: 30_000 },
  { name: 'falls silent after a bookmark', sent: bookmark, says: 'the server fell silent', after: 180_000 },
  // Who sends no bookmarks may have nothing to say; then only the end that was agreed is missed.
  { name: 'sends no bookmarks and misses the end', sent: added, says: 'the server fell silent', after: 630_000 },
])('a watch whose server $name is given up after $after ms', async ({ sent, says, after }) => {
  answer = (response) => {
    if (sent !== undefined) response.write(sent);
  };
  const signal = new AbortController().signal;
  const events = client.watch(things, { resourceVersion: '1', timeoutSeconds: 600, signal });
  if (sent !== undefined) expect((await events.next()).value).toHaveLength(1);
  let ended = false;
  const end = events.next().catch((error: unknown) => {
    ended = true;
    return error;
  });
  await clock.advance(after - 1);
  expect(ended).toBe(false);
  await clock.advance(1);
  expect(await end).toMatchObject({ reason: 'Timeout', message: `watch things: ${says}` });
  expect(urls).toEqual(['/api/v1/things?watch=true&allowWatchBookmarks=true&resourceVersion=1&timeoutSeconds=600']);
});
