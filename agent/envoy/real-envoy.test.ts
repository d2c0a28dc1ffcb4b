import type { ChildProcess } from 'node:child_process';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { envoyFiles } from '../../test/local/envoy/binary.ts';
import { hex64 } from '../tables/hash.ts';
import { FakeSupervisor } from '../testing/envoy.ts';
import { killed, listenerMessage, routeMessage, startEnvoy } from '../testing/real-envoy.ts';
import { envoy, httpSet, policySet } from '../testing/resources.ts';
import { TestNode, until } from '../testing/test-node.ts';

const SET = 0x101n;
const ONE = 0xfedcba9876543210n;
const TWO = 0x2n;
const BAD = 0x3n;
/** A filter that Envoy does not have. */
const NOTHING = 'envoy.extensions.filters.network.nothing.v3.Nothing';

const nameOf = (id: bigint): string => `l7/${hex64(id)}`;
const listener = (id: bigint, ...manager: [] | [string]) =>
  envoy('listener', nameOf(id), listenerMessage(nameOf(id), ...manager), id);
const route = (id: bigint, text: string) => envoy('route', nameOf(id), routeMessage(nameOf(id), text));

function get(host: string, port: number | undefined): Promise<string> {
  return new Promise((resolve) => {
    const call = request({ host, port, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += String(chunk);
      });
      response.on('end', () => resolve(`${response.statusCode} ${text}`));
    });
    call.on('error', (error) => resolve(Reflect.get(error, 'code') ?? error.message));
    call.end();
  });
}

describe('the real Envoy', () => {
  let binary: string;
  let node: TestNode;
  let envoys: ChildProcess[] = [];
  const start = (uid: string): ChildProcess => {
    const child = startEnvoy(binary, node.dir, join(node.dir, 'envoy'), uid);
    envoys.push(child);
    return child;
  };
  beforeAll(async () => {
    binary = (await envoyFiles()).program;
  }, 300_000);
  beforeEach(async () => {
    node = await new TestNode({ patienceMs: 10_000 }).start();
  });
  afterEach(async () => {
    await Promise.all(envoys.map(killed));
    envoys = [];
    node.stop();
  });

  test('listens where rows point, at the moment when they may', async () => {
    await node.plainPod(0);
    const supervisor = new FakeSupervisor(join(node.dir, 'envoy'), 'uid-0');
    node.fakes.push(supervisor);
    supervisor.say('running');
    start('uid-0');
    let answer: Promise<string[]> | undefined;
    node.model.onWrite = () => {
      const [port] = node.proxyRows();
      if (port !== undefined) answer ??= Promise.all([get('127.0.0.1', port), get('::1', port)]);
    };
    await node.batch([listener(ONE), route(ONE, 'one'), httpSet(SET, 7n, ONE)]);
    expect(await answer).toEqual(['200 one', '200 one']);
    expect(node.tables.proxy).toBe(0);

    // Many come and go while nobody waits.
    for (let id = 100n; id < 130n; id++) {
      answer = undefined;
      await node.batch([listener(id), route(id, `text ${id}`), httpSet(SET, 7n, id)]);
      expect(await get('127.0.0.1', node.ports.portOf(id))).toBe(`200 text ${id}`);
    }

    // A text that changes needs no other listener.
    const port = node.ports.portOf(129n);
    await node.batch([route(129n, 'edited')]);
    const changed = performance.now();
    while ((await get('127.0.0.1', port)) !== '200 edited' && performance.now() < changed + 5_000) await sleep(1);
    expect(await get('127.0.0.1', port)).toBe('200 edited');
    expect(node.ports.portOf(129n)).toBe(port);

    // It comes back with everything after a crash.
    await killed(envoys[0] as ChildProcess);
    expect(await get('127.0.0.1', port)).toBe('ECONNREFUSED');
    start('uid-0');
    await until(() => node.envoy.status().pods[0]?.configuration === 'all');
    expect(await get('127.0.0.1', port)).toBe('200 edited');

    // It goes on while the agent is away, and is known again without being told anything twice.
    const before = node.model.rows('policy');
    node.envoy.stop();
    expect(await get('127.0.0.1', port)).toBe('200 edited');
    await node.restart();
    expect(node.model.rows('policy')).toEqual(before);
    expect(node.tables.proxy).toBe(0);
    await until(() => node.envoy.status().pods[0]?.configuration === 'all');
    expect(node.ports.portOf(129n)).toBe(port);

    // What is gone is no longer there.
    await node.batch([policySet(SET, 7n)], [`envoy/listener/${nameOf(129n)}`, `envoy/route/${nameOf(129n)}`]);
    await until(() => node.ports.portOf(129n) === undefined);
    for (let i = 0; i < 500 && (await get('127.0.0.1', port)) !== 'ECONNREFUSED'; i++) await sleep(10);
    expect(await get('127.0.0.1', port)).toBe('ECONNREFUSED');
  }, 60_000);

  test('refuses one listener among others: only what points at it waits, and says why', async () => {
    await node.plainPod(0);
    const supervisor = new FakeSupervisor(join(node.dir, 'envoy'), 'uid-0');
    node.fakes.push(supervisor);
    supervisor.say('running');
    start('uid-0');
    await node.batch([policySet(SET, 7n)]);
    const outcomes = await node.batch([
      listener(ONE),
      route(ONE, 'one'),
      listener(BAD, NOTHING),
      route(BAD, 'bad'),
      listener(TWO),
      route(TWO, 'two'),
      httpSet(SET, 7n, BAD),
      httpSet(0x201n, 7n, ONE),
      httpSet(0x301n, 7n, TWO),
    ]);
    const failed = outcomes.filter(({ error }) => error !== undefined);
    expect(failed.map(({ name }) => name).sort()).toEqual([`envoy/listener/${nameOf(BAD)}`, `policyset/${hex64(SET)}`]);
    for (const { error } of failed) expect(error).toContain('nothing.v3.Nothing');
    expect(node.proxyRows().sort()).toEqual([node.ports.portOf(ONE), node.ports.portOf(TWO)].sort());
    expect(await get('127.0.0.1', node.ports.portOf(TWO))).toBe('200 two');

    // A change that makes no sense changes nothing.
    await node.batch([listener(TWO, NOTHING)]);
    await until(() => node.envoy.errorOf(`envoy/listener/${nameOf(TWO)}`) !== undefined);
    expect(await get('127.0.0.1', node.ports.portOf(TWO))).toBe('200 two');
  }, 60_000);
});
