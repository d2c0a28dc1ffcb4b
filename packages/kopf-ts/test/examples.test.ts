import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { configMaps, services } from '../examples/kinds.ts';
import { conditionsOf, type KubeClient, leaseKind } from '../src/index.ts';
import { ApiServer } from './apiserver.ts';
import { until } from './kinds.ts';

const folder = join(import.meta.dirname, '../examples');
let server: ApiServer;
let client: KubeClient;
let dir: string;
let started: Example[] = [];

beforeAll(async () => {
  server = await ApiServer.start();
  client = server.client();
  dir = mkdtempSync(join(tmpdir(), 'kopf-examples-'));
  writeFileSync(join(dir, 'config'), server.config().exportConfig(), { mode: 0o600 });
}, 900_000);

afterEach(() => {
  for (const { child } of started) child.kill('SIGKILL');
  started = [];
});

afterAll(async () => {
  client?.close();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

interface Example {
  readonly child: ChildProcess;
  /** Until it has printed `line`. */
  prints(line: string): Promise<void>;
  /** Stops it as kubelet would, and checks that it ends well. */
  stop(): Promise<void>;
}

function start(name: string): Example {
  const env = { ...process.env, KUBECONFIG: join(dir, 'config'), NODE_OPTIONS: '' };
  const child = spawn(process.execPath, [join(folder, name)], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let errors = '';
  child.stdout.on('data', (text: Buffer) => lines.push(...text.toString().split('\n')));
  child.stderr.on('data', (text: Buffer) => {
    errors += text.toString();
  });
  const example: Example = {
    child,
    prints: (line) =>
      until(`${name} to print "${line}"; it printed: ${lines.join(' | ')} ${errors}`, () => {
        if (child.exitCode !== null && !lines.includes(line))
          throw new Error(`${name} ended: ${lines.join(' | ')} ${errors}`);
        return lines.includes(line);
      }),
    async stop() {
      const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      expect(await ended).toBe(0);
      expect(lines).toContain('stopped');
      expect(errors).toBe('');
    },
  };
  started.push(example);
  return example;
}

const namespace = 'default';
/** The API server wants a port too; the examples look only at the selector. */
const serviceWithoutSelector = { selector: {}, ports: [{ port: 80 }] };

test('01: a mirror prints what is there and what changes', async () => {
  await client.create(configMaps, { metadata: { namespace, name: 'mirrored' }, data: { a: '1', b: '2' } });
  const example = start('01-mirror.ts');
  await example.prints('default/mirrored has 2 entries');
  await client.delete(configMaps, { namespace, name: 'mirrored' });
  await example.prints('default/mirrored is gone');
  await example.stop();
}, 60_000);

test('02: a copy is made, and repaired when someone changes it', async () => {
  const example = start('02-reconcile.ts');
  const labels = { 'example.dev/copy-to': 'copied' };
  await client.create(configMaps, { metadata: { namespace, name: 'original', labels }, data: { a: '1' } });
  await example.prints('copied default/original to copied');
  await client.patch(configMaps, { namespace, name: 'copied' }, { data: { a: 'spoiled' } });
  await until('the repair', async () => (await client.get(configMaps, { namespace, name: 'copied' })).data?.a === '1');
  await example.stop();
}, 60_000);

test('03: what was made outside is cleaned up before the object vanishes', async () => {
  const example = start('03-finalizer.ts');
  const metadata = { namespace, name: 'guarded', labels: { 'example.dev/outside': 'true' } };
  await client.create(configMaps, { metadata });
  await example.prints('made something for guarded');
  await client.delete(configMaps, metadata);
  await example.prints('cleaned up after guarded');
  await until(
    'the end',
    async () => (await client.list(configMaps, { namespace, fieldSelector: 'metadata.name=guarded' })).length === 0,
  );
  await example.stop();
}, 60_000);

test('04: a Service gets a condition and, where it selects nothing, an event', async () => {
  const example = start('04-status-and-events.ts');
  await client.create(services, { metadata: { namespace, name: 'empty' }, spec: serviceWithoutSelector });
  await example.prints('empty selects: False');
  const service = await client.get(services, { namespace, name: 'empty' });
  expect(conditionsOf(service)).toMatchObject([{ type: 'example.dev/Selects', status: 'False' }]);
  await example.stop();
  const events = await client.raw({ method: 'GET', path: '/apis/events.k8s.io/v1/namespaces/default/events' });
  expect(JSON.stringify(events)).toContain('it has no selector');
}, 60_000);

test('05: the second replica watches, and acts as soon as the first has stopped', async () => {
  await client.create(configMaps, { metadata: { namespace, name: 'led' } });
  const first = start('05-leader.ts');
  await first.prints('acts on led');
  const second = start('05-leader.ts');
  await first.stop();
  await second.prints('acts on led');
  await second.stop();
  expect((await client.get(leaseKind, { namespace, name: 'example-leader' })).spec?.holderIdentity ?? '').toBe('');
}, 60_000);

test('each example is run by a test here', () => {
  expect(
    readdirSync(folder)
      .filter((name) => /^\d\d-/.test(name))
      .sort(),
  ).toEqual(['01-mirror.ts', '02-reconcile.ts', '03-finalizer.ts', '04-status-and-events.ts', '05-leader.ts']);
});
