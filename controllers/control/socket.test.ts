import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, test } from '@jest/globals';
import { ControlSocket } from './socket.ts';

const dir = mkdtempSync(join(tmpdir(), 'weft-control-'));
const path = join(dir, 'run', 'control.sock');
afterAll(() => rmSync(dir, { recursive: true, force: true }));
let control: ControlSocket;

beforeEach(async () => {
  control = new ControlSocket(path, {
    status: () => ({ nodes: [] }),
    broken: () => {
      throw new Error('the sentence');
    },
  });
  await control.listen();
});

afterEach(async () => {
  await control.close();
  rmSync(path, { force: true });
});

/** All that the socket answers before it ends the connection, or until there are `lines` lines. */
function send(text: string | Buffer, lines = 1): Promise<string[]> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(path, () => socket.write(text));
    const done = (): void => {
      socket.destroy();
      resolve(answer.split('\n').filter((line) => line !== ''));
    };
    socket.setEncoding('utf8');
    socket.on('data', (part: string) => {
      answer += part;
      if (answer.split('\n').length > lines) done();
    });
    socket.on('end', done);
    socket.on('error', reject);
  });
}

test('each line is a request and is answered with one line', async () => {
  expect(await send('{"command":"status"}\n{"command":"status"}\n', 2)).toEqual([
    '{"ok":{"nodes":[]}}',
    '{"ok":{"nodes":[]}}',
  ]);
});

test.each([
  ['what is no JSON', '}{\n', /one line of JSON/],
  ['what names no command', '[]\n', /names its command/],
  ['an unknown command', '{"command":"drop"}\n', /no command \\"drop\\"; there are: status, broken/],
  ['a name from the prototype of all objects', '{"command":"toString"}\n', /no command/],
  ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x0a]), /one line of JSON/],
  ['a command that fails', '{"command":"broken"}\n', /the sentence/],
  ['a line without end', 'x'.repeat(70_000), /may have 65536 bytes/],
])('%s gets an error, and the socket goes on', async (_, text, error) => {
  expect((await send(text))[0]).toMatch(error);
  expect(await send('{"command":"status"}\n')).toEqual(['{"ok":{"nodes":[]}}']);
});
