import { expect, test } from '@jest/globals';
import { reportProgress } from './progress.ts';

function terminal(isTTY: boolean) {
  const text: string[] = [];
  return { isTTY, columns: 60, write: (part: string) => text.push(part), text: () => text.join('') };
}

function clock() {
  let seconds = 0;
  return { now: () => seconds, pass: (more: number) => (seconds += more) };
}

test('a step in a log says its name at once and its time at the end, without escape codes', async () => {
  const [out, time] = [terminal(false), clock()];
  const result = await reportProgress(out, { now: time.now }).step(
    'control plane',
    async () => {
      time.pass(2.5);
      return 7;
    },
    { expect: 'about 3 s' },
  );
  expect(result).toBe(7);
  expect(out.text()).toBe('… control plane (about 3 s)\n✓ control plane (2.5 s)\n');
});

test('a step that fails says what it waited for, and passes the error on', async () => {
  const out = terminal(false);
  const work = reportProgress(out, { now: () => 0 }).step('nodes', async ({ waitingFor }) => {
    waitingFor('kubelet of node1');
    throw new Error('no luck');
  });
  await expect(work).rejects.toThrow('no luck');
  expect(out.text()).toContain('✗ nodes (0.0 s) while waiting for kubelet of node1\n');
});

test('a terminal gets one line a step, in colour unless NO_COLOR is set', async () => {
  const [coloured, plain] = [terminal(true), terminal(true)];
  await reportProgress(coloured, { now: () => 0, env: {} }).step('images', async () => {});
  await reportProgress(plain, { now: () => 0, env: { NO_COLOR: '1' } }).step('images', async () => {});
  expect(coloured.text()).toContain('\x1b[32m✓\x1b[0m');
  expect(plain.text()).toBe('\r\x1b[K… images (0.0 s)\r\x1b[K✓ images (0.0 s)\n');
});
