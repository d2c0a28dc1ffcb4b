import { once } from 'node:events';
import { statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readLines } from '../lib/lines.ts';
import { scratchDirectory } from '../testing/scratch.ts';
import { SupervisorServer } from './supervisor.ts';
import { parseSupervisorState } from './supervisor-state.ts';

let server: SupervisorServer | undefined;
const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server?.stop();
});

async function start(run = false) {
  const path = join(scratchDirectory(), 'supervisor.sock');
  const at = { path, run, server: new SupervisorServer(options()), log: [] as unknown[] };
  function options() {
    const log = (_: string, fields: unknown): void => void at.log.push(fields);
    return { path, group: process.getgid?.() ?? 0, run: () => at.run, onChange: () => {}, log };
  }
  server = at.server;
  await at.server.start();
  return at;
}

/** A supervisor with its own ends: lines in, lines out. */
async function supervisor(path: string) {
  const lines: unknown[] = [];
  const socket = connect(path);
  sockets.push(socket);
  readLines(
    socket,
    1_000,
    (line) => lines.push(JSON.parse(line)),
    () => {},
  );
  await once(socket, 'connect');
  return { socket, lines, say: (message: unknown) => socket.write(`${JSON.stringify(message)}\n`) };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 2_000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 2));
  expect(condition()).toBe(true);
}

const running = { pod: 'u1', envoy: '1.40.0', state: 'running', pid: 7, restarts: 2 };

describe("the supervisors' socket", () => {
  test('tells whether Envoy is to run, at connect and at each change, and hears how it goes', async () => {
    const at = await start();
    expect(statSync(at.path).mode & 0o777).toBe(0o660);
    const one = await supervisor(at.path);
    one.say({ ...running, state: 'idle', something: 'new' });
    await until(() => at.server.state('u1')?.state === 'idle');
    at.run = true;
    at.server.tellAll();
    one.say(running);
    await until(() => at.server.state('u1')?.state === 'running');
    expect(at.server.state('u1')).toEqual(running);
    await until(() => one.lines.length === 2);
    expect(one.lines).toEqual([{ run: false }, { run: true }]);
    one.socket.destroy();
    await until(() => at.server.state('u1') === undefined);
  });

  test('answers draining once', async () => {
    const at = await start(true);
    const one = await supervisor(at.path);
    one.say({ ...running, state: 'draining' });
    await until(() => at.server.state('u1')?.state === 'draining');
    at.server.retire('u1');
    at.server.retire('u1');
    at.server.tellAll();
    await until(() => one.lines.length >= 3);
    expect(one.lines).toEqual([{ run: true }, { retired: true }, { run: true }]);
  });

  test('of two connections of one pod the newer one counts', async () => {
    const at = await start();
    const old = await supervisor(at.path);
    old.say(running);
    await until(() => at.server.state('u1') !== undefined);
    const fresh = await supervisor(at.path);
    fresh.say({ ...running, restarts: 3 });
    await until(() => old.socket.destroyed);
    expect(at.server.state('u1')).toMatchObject({ restarts: 3 });
  });

  test.each([
    ['no JSON', 'x\n', 'not JSON'],
    ['no end', 'x'.repeat(20_000), 'longer than'],
    ['a foreign state', `${JSON.stringify({ ...running, state: 'well' })}\n`, 'state'],
    ['two pods', `${JSON.stringify(running)}\n${JSON.stringify({ ...running, pod: 'u2' })}\n`, 'changed its pod'],
  ])('cuts off who sends %s, and says why', async (_, bytes, why) => {
    const at = await start();
    const bad = await supervisor(at.path);
    const good = await supervisor(at.path);
    bad.socket.write(bytes);
    await until(() => bad.socket.destroyed);
    expect(at.log).toEqual([expect.objectContaining({ why: expect.stringContaining(why) })]);
    good.say({ ...running, pod: 'u9' });
    await until(() => at.server.state('u9') !== undefined);
  });

  test('a flood of clients leaves room again', async () => {
    const at = await start();
    const flood = Array.from({ length: 64 }, () => connect(at.path).on('error', () => {}));
    await until(() => flood.some((socket) => socket.destroyed || socket.readyState === 'closed'));
    for (const socket of flood) socket.destroy();
    let state: unknown;
    for (let i = 0; i < 200 && state === undefined; i++) {
      const one = await supervisor(at.path);
      one.say(running);
      await new Promise((resolve) => setTimeout(resolve, 5));
      state = at.server.state('u1');
      one.socket.destroy();
    }
    expect(state).toBeDefined();
  });
});

test('any line is a state or an error with a sentence', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
      try {
        expect(parseSupervisorState(line).pod).toMatch(/./);
      } catch (error) {
        expect(String(error)).toMatch(/^Error: (it sent|its field) /);
      }
    }),
  );
});
