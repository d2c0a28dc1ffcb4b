import { once } from 'node:events';
import { connect, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { scratchDirectory } from '../testing/scratch.ts';
import { type CniServerOptions, serveCni } from './server.ts';

const pods: ReturnType<CniServerOptions['pods']> = {
  add: async () => ({ ok: true, addresses: ['10.244.1.2/32'], mtu: 1420 }),
  delete: async () => ({ ok: true }),
  check: async () => ({ ok: true }),
  collect: async () => ({ ok: true }),
};
let server: Server | undefined;
afterEach(() => void server?.close());

async function start(options: Partial<CniServerOptions> = {}): Promise<string> {
  const path = join(scratchDirectory(), 'cni.sock');
  server = await serveCni({ path, unready: () => undefined, pods: () => pods, uidOf: () => 0, ...options });
  return path;
}

/** What comes back for bytes, until the first line or the end. */
function send(path: string, bytes: string | Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(path, () => {
      socket.write(bytes);
      socket.write('\n');
    });
    socket.on('error', () => resolve(text));
    socket.on('close', () => resolve(text));
    socket.on('data', (chunk) => {
      text += chunk.toString();
      if (text.includes('\n')) socket.destroy();
    });
  });
}

const add = {
  command: 'ADD',
  containerId: 'c1',
  ifName: 'eth0',
  hostIfIndex: 7,
  hostIfName: 'weft1',
  netns: '/run/netns/cni-1',
  pod: { namespace: 'shop', name: 'api', uid: 'u1' },
};

describe('the CNI socket', () => {
  test('answers requests', async () => {
    const path = await start();
    expect(JSON.parse(await send(path, JSON.stringify(add)))).toEqual({
      ok: true,
      addresses: ['10.244.1.2/32'],
      mtu: 1420,
    });
  });

  test('answers any bytes with an error and goes on', async () => {
    const path = await start();
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.json().map((text) => Buffer.from(text)),
        ),
        async (bytes) => {
          const line = bytes.filter((byte) => byte !== 10);
          expect(JSON.parse(await send(path, line))).toMatchObject({ ok: false });
        },
      ),
      { numRuns: 100 },
    );
    expect(JSON.parse(await send(path, JSON.stringify(add)))).toMatchObject({ ok: true });
  });

  test.each([undefined, '', 'run/netns/x', '/run/../etc', '/run/netns/..', '/a\nb', `/${'a'.repeat(2_000)}`, 7])(
    'refuses a network namespace at %p',
    async (netns) => {
      const path = await start();
      const answer = JSON.parse(await send(path, JSON.stringify({ ...add, netns })));
      expect(answer).toEqual({ ok: false, code: 7, message: 'netns is missing or malformed' });
    },
  );

  test('refuses a request without end', async () => {
    const path = await start();
    expect(JSON.parse(await send(path, 'x'.repeat(2 << 20)))).toMatchObject({ ok: false, code: 6 });
  });

  test('turns a flood of clients away and serves the next one', async () => {
    const path = await start();
    const flood: Socket[] = [];
    for (let i = 0; i < 256; i++) {
      const socket = connect(path);
      await once(socket, 'connect');
      flood.push(socket);
    }
    expect(await send(path, JSON.stringify(add))).toBe('');
    for (const socket of flood) socket.destroy();
    let answer = '';
    while (answer === '') answer = await send(path, JSON.stringify(add));
    expect(JSON.parse(answer)).toMatchObject({ ok: true });
  });

  test('refuses everybody but root', async () => {
    const path = await start({ uidOf: () => 1000 });
    expect(JSON.parse(await send(path, JSON.stringify(add)))).toMatchObject({
      ok: false,
      message: 'only root may ask for networks',
    });
  });

  test('says while it is not ready: try again, and why', async () => {
    const path = await start({ unready: () => 'no state yet' });
    expect(JSON.parse(await send(path, JSON.stringify(add)))).toEqual({ ok: false, code: 11, message: 'no state yet' });
    expect(JSON.parse(await send(path, '{"command":"STATUS"}'))).toEqual({
      ok: false,
      code: 50,
      message: 'no state yet',
    });
    expect(JSON.parse(await send(path, '{"command":"DEL","containerId":"c1","ifName":"eth0"}'))).toEqual({ ok: true });
  });
});
