import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { RequestRecord } from './index.js';

const built = existsSync(join(import.meta.dirname, 'dist', 'bpf-loader-napi.node'));
const suite = built ? describe : describe.skip;

/** A line as Envoy 1.40 writes it. */
const line = (more: object = {}): string =>
  `${JSON.stringify({
    a: '10.96.0.7:8080',
    c: 'via_upstream',
    d: 1,
    dst: '10.244.1.2:80',
    f: '-',
    l: 'l7/00000000000000ff',
    m: 'GET',
    p: '/ok',
    r: 'CiliumNetworkPolicy/shop/api#ingress[0]',
    rx: 0,
    s: 200,
    src: '[fd00::3]:46728',
    t: '1795551019191',
    tx: 2,
    ua: 'curl/7.88.1',
    up: null,
    v: 'HTTP/1.1',
    ...more,
  })}\n`;

suite(`serveRecords${built ? '' : ' (skipped: datapath-native is not built)'}`, () => {
  let dir: string;
  let path: string;
  let server: { stop(): void } | undefined;
  let calls: { batch: RequestRecord[]; lost: number; at: number }[];
  let clients: Socket[];

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'weft-records-'));
    path = join(dir, 'records.sock');
    calls = [];
    clients = [];
    await serve();
  });
  afterEach(() => {
    server?.stop();
    for (const client of clients) client.destroy();
    rmSync(dir, { recursive: true, force: true });
  });

  const serve = async (): Promise<void> => {
    const { serveRecords } = await import('./index.js');
    server = serveRecords({ path, group: process.getgid?.() ?? 0 }, (batch, lost) =>
      calls.push({ batch, lost, at: performance.now() }),
    );
  };
  const client = (): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket = connect(path, () => resolve(socket));
      socket.on('error', reject);
      clients.push(socket);
    });
  const seen = () => ({
    records: calls.flatMap(({ batch }) => batch),
    lost: calls.reduce((sum, { lost }) => sum + lost, 0),
  });
  const until = async (done: () => boolean): Promise<void> => {
    for (let i = 0; i < 400 && !done(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    if (!done()) throw new Error(`not within 4 s: ${JSON.stringify({ ...seen(), records: seen().records.length })}`);
  };

  test('a record of Envoy comes decoded, without its query', async () => {
    (await client()).write(line({ p: '/ok?token=secret', up: '10.244.1.2:8080' }));
    await until(() => calls.length > 0);
    expect(seen().records).toEqual([
      {
        time: 1795551019191,
        listener: 255n,
        route: 'CiliumNetworkPolicy/shop/api#ingress[0]',
        method: 'GET',
        path: '/ok',
        authority: '10.96.0.7:8080',
        protocol: 'HTTP/1.1',
        status: 200,
        flags: '',
        details: 'via_upstream',
        durationMs: 1,
        receivedBytes: 0,
        sentBytes: 2,
        source: 'fd00::3',
        sourcePort: 46728,
        destination: '10.244.1.2',
        destinationPort: 80,
        upstream: '10.244.1.2',
        upstreamPort: 8080,
        userAgent: 'curl/7.88.1',
      },
    ]);
  });

  test('what is no record counts as lost, and the connection lives on', async () => {
    const socket = await client();
    socket.write('nonsense\n{}\n{"s":[]}\n');
    socket.write(`{"lost":40}\n{"p":"${'x'.repeat(600_000)}"}\n`);
    socket.write(line({ p: '/after' }));
    await until(() => seen().records.length > 0);
    expect(seen().records.map((record) => record.path)).toEqual(['/after']);
    expect(seen().lost).toBe(3 + 40 + 1);
  });

  test('a record that comes in pieces, hostile strings, and half a line at the end', async () => {
    const socket = await client();
    const text = Buffer.from(line({ p: `/${'ä'.repeat(40_000)}`, ua: 'a\nb\u0000\u001b[2J' }));
    for (let at = 0; at < text.length; at += 9_999) {
      socket.write(text.subarray(at, at + 9_999));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    socket.end(line().slice(0, 20));
    await until(() => seen().records.length > 0 && seen().lost > 0);
    const [record] = seen().records;
    expect(Buffer.byteLength(record?.path ?? '')).toBeLessThanOrEqual(1024);
    expect(record?.path).toMatch(/ä…$/);
    expect(record?.userAgent).toBe('a b\u0000\u001b[2J');
    expect(seen().lost).toBe(1);
  });

  test('more than a batch takes is counted, not kept, and calls are 50 ms apart', async () => {
    const socket = await client();
    const count = 60_000;
    socket.write(line().repeat(count));
    await until(() => seen().records.length + seen().lost >= count);
    expect(seen().records.length + seen().lost).toBe(count);
    expect(seen().lost).toBeGreaterThan(0);
    expect(Math.max(...calls.map(({ batch }) => batch.length))).toBeLessThanOrEqual(4096);
    // The first record goes at once; calls that waited for this thread come together.
    expect(calls.length).toBeLessThanOrEqual(3 + (performance.now() - (calls[0]?.at ?? 0)) / 50);
  });

  test('some senders at once; one too many is let go; those who leave make room', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, client));
    for (const socket of all) socket.write(line());
    await until(() => seen().records.length === 8);
    const ninth = await client();
    await new Promise((resolve) => ninth.on('close', resolve));
    all[0]?.end();
    await new Promise((resolve) => setTimeout(resolve, 100));
    (await client()).write(line({ p: '/tenth' }));
    await until(() => seen().records.some((record) => record.path === '/tenth'));
  });

  test('the socket is for its group, replaces a stale one, and goes with the server', async () => {
    expect((statSync(path).mode & 0o777).toString(8)).toBe('660');
    const first = server;
    // As if the process before had been killed.
    await serve();
    first?.stop();
    (await client()).write(line());
    await until(() => seen().records.length === 1);
    server?.stop();
    expect(existsSync(path)).toBe(false);
  });

  test('a place that can not be listened on is an error with a sentence', async () => {
    const { serveRecords } = await import('./index.js');
    const at =
      (place: string, group = 0) =>
      () =>
        serveRecords({ path: place, group }, () => undefined);
    expect(at(join(dir, 'absent', 'x.sock'))).toThrow(/listening on .*absent/);
    writeFileSync(join(dir, 'file'), '');
    expect(at(join(dir, 'file'))).toThrow('something that is no socket is there');
    expect(at(path, -1)).toThrow('group is -1');
  });
});
