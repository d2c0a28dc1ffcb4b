import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { goProgram } from '../cluster/gobuild.ts';
import { clusterImages } from '../cluster/image/cluster-images.ts';
import { ledgerFile } from '../cluster/ledger.ts';
import { whyNotHere } from '../cluster/prerequisites.ts';
import { silentProgress } from '../cluster/progress.ts';
import { run } from '../cluster/run.ts';
import { Room } from '../cluster/testing/room.ts';
import { buildAll } from '../local/build.ts';
import { demoArchive, weftImages } from '../local/images.ts';

const skip = whyNotHere();

(skip === undefined ? describe : describe.skip)(
  `down, with Weft and the demo${skip ? ` (skipped: ${skip})` : ''}`,
  () => {
    const parent = mkdtempSync(join(tmpdir(), 'weft-down-'));
    const dir = join(parent, 'cluster');
    let room: Room;

    beforeAll(async () => {
      // The room has no way out to any registry.
      await buildAll(silentProgress);
      await goProgram('kubernetes');
      for (const make of [clusterImages, weftImages, demoArchive]) await make(() => {});
      room = await Room.open();
    }, 900_000);

    afterAll(() => {
      room?.close();
      rmSync(parent, { recursive: true, force: true });
    });

    const up = () => room.enter(process.execPath, join(import.meta.dirname, 'up-for-test.ts'), dir);
    const down = () =>
      room.enter(process.execPath, join(import.meta.dirname, '../cluster/main.ts'), '--dir', dir, 'down');

    test('after a whole up leaves the machine as it was', async () => {
      const before = await room.traces(dir);
      await run(up(), { timeout: 240_000 });
      expect((await room.traces(dir)).processes).toContain('/weft/agent.mjs');
      await run(down(), { timeout: 60_000 });
      expect(await room.traces(dir)).toEqual(before);
    }, 320_000);

    test('after an up that was killed while Weft starts leaves the machine as it was', async () => {
      const before = await room.traces(dir);
      const [file = '', ...args] = up();
      const running = spawn(file, args, { stdio: 'ignore' });
      const ended = once(running, 'exit');
      while (!existsSync(ledgerFile(dir)) && running.exitCode === null) await sleep(5);
      // The cluster takes some seconds, Weft and the demo ten more.
      const delay = 4_000 + Math.random() * 12_000;
      await sleep(delay);
      running.kill('SIGKILL');
      await ended;
      await run(down(), { timeout: 60_000 });
      expect({ delay, ...(await room.traces(dir)) }).toEqual({ delay, ...before });
    }, 120_000);
  },
);
