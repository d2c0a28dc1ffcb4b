import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { goProgram } from './gobuild.ts';
import { clusterImages } from './image/cluster-images.ts';
import { ledgerFile } from './ledger.ts';
import { whyNotHere } from './prerequisites.ts';
import { run } from './run.ts';
import { Room } from './testing/room.ts';

const skip = whyNotHere();
const describeHere = skip === undefined ? describe : describe.skip;
const main = join(import.meta.dirname, 'main.ts');

describeHere(`taking a cluster down${skip === undefined ? '' : ` (skipped: ${skip})`}`, () => {
  const parent = mkdtempSync(join(tmpdir(), 'weft-down-'));
  const dir = join(parent, 'cluster');
  let room: Room;

  beforeAll(async () => {
    await goProgram('kubernetes');
    await clusterImages(() => {});
    room = await Room.open();
  }, 900_000);

  afterAll(() => {
    room?.close();
    rmSync(parent, { recursive: true, force: true });
  });

  const cli = (command: string) => room.enter(process.execPath, main, '--dir', dir, command);
  const traces = () => room.traces(dir);

  test('after a whole up leaves the machine as it was', async () => {
    const before = await traces();
    await run(cli('up'), { timeout: 120_000 });
    const during = await traces();
    // The comparison below is worth something only if these see the cluster.
    for (const kind of ['links', 'routes', 'processes', 'cgroups', 'files'])
      expect(during[kind]).not.toBe(before[kind]);
    await run(cli('down'), { timeout: 60_000 });
    expect(await traces()).toEqual(before);
  }, 200_000);

  test.each([0, 1, 2, 3])(
    'after an up that was killed at a random point (%#) leaves the machine as it was',
    async (third) => {
      const before = await traces();
      const [file = '', ...args] = cli('up');
      // A group of its own would be ended with it; what is killed is the one process that a user sees.
      const up = spawn(file, args, { stdio: 'ignore' });
      const ended = once(up, 'exit');
      while (!existsSync(ledgerFile(dir)) && up.exitCode === null) await sleep(5);
      const delay = Math.random() * 1_500 * (third + 1) ** 1.3;
      await sleep(delay);
      up.kill('SIGKILL');
      await ended;
      await run(cli('down'), { timeout: 60_000 });
      expect({ delay, ...(await traces()) }).toEqual({ delay, ...before });
    },
    100_000,
  );

  test('twice, or without a cluster, is no error', async () => {
    expect(await run(cli('down'))).toContain('there is no cluster');
  }, 30_000);
});
