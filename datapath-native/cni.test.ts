import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { AgentEnd } from './testing/agent.ts';
import { Lab, whyNot } from './testing/lab.ts';

const reason = whyNot();
const suite = reason === undefined ? describe : describe.skip;
const dist = join(import.meta.dirname, 'dist');
const grant = '{"ok":true,"addresses":["10.244.1.7/32","fd00::7/128"],"mtu":1450}';

suite(`weft-cni${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let lab: Lab;
  let agent: AgentEnd;
  let count = 0;
  let netns = '';
  let container = '';

  beforeAll(async () => {
    lab = await Lab.start();
    execFileSync('go', ['build', '-o', join(lab.directory, 'cni-test'), '.'], {
      cwd: join(import.meta.dirname, 'cni-test'),
    });
  }, 300_000);
  afterAll(async () => {
    await lab.stop();
  });
  beforeEach(async () => {
    count += 1;
    container = `container-${count}`;
    netns = lab.addNetns(`pod${count}`);
    agent = new AgentEnd(join(lab.directory, `cni${count}.sock`));
    agent.answer = ({ command }) => (command === 'ADD' ? grant : '{"ok":true}');
    await agent.listen();
  });
  afterEach(async () => {
    await cni('DEL');
    await agent.close().catch(() => undefined);
  });

  const config = (more: object = {}) =>
    JSON.stringify({ cniVersion: '1.0.0', name: 'weft', type: 'weft-cni', socket: agent.path, ...more });
  const cni = (command: string, input = config(), environment: Record<string, string> = {}) =>
    lab.execute(join(dist, 'weft-cni'), [], input, {
      CNI_COMMAND: command,
      CNI_CONTAINERID: container,
      CNI_IFNAME: 'eth0',
      CNI_NETNS: netns,
      CNI_PATH: dist,
      CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=api-1;K8S_POD_UID=u-1',
      ...environment,
    });
  const inPod = (...command: string[]) => lab.run('nsenter', `--net=${netns}`, ...command);
  /** What the kernel says of a connection to a closed port: refused if packets go there and back. */
  const answerOf = async (prefix: readonly string[], address: string) => {
    const [command = 'timeout', ...rest] = [...prefix, 'timeout', '5', 'bash', '-c', `: < /dev/tcp/${address}/9`];
    return (await lab.execute(command, rest, '', {})).stderr;
  };
  const hostLinks = () => lab.run('ip', '-br', 'link').match(/^weft[0-9a-f]{11}/gm) ?? [];

  test('ADD gives the pod its device, addresses and routes, and the host the way to it', async () => {
    const { status, stdout } = await cni('ADD');
    expect(status).toBe(0);
    const [host = ''] = hostLinks();
    expect(JSON.parse(stdout)).toEqual({
      cniVersion: '1.0.0',
      interfaces: [
        { name: host, mac: '02:77:65:66:74:02' },
        { name: 'eth0', mac: '02:77:65:66:74:01', sandbox: netns },
      ],
      ips: [
        { address: '10.244.1.7/32', gateway: '169.254.1.1', interface: 1 },
        { address: 'fd00::7/128', gateway: 'fe80::1', interface: 1 },
      ],
      routes: [
        { dst: '0.0.0.0/0', gw: '169.254.1.1' },
        { dst: '::/0', gw: 'fe80::1' },
      ],
      dns: {},
    });
    expect(agent.requests).toEqual([
      {
        command: 'ADD',
        containerId: container,
        ifName: 'eth0',
        netns,
        hostIfName: host,
        hostIfIndex: expect.any(Number),
        pod: { namespace: 'shop', name: 'api-1', uid: 'u-1' },
      },
    ]);
    lab.run('ip', 'addr', 'replace', '192.168.7.1/24', 'dev', 'under0');
    lab.run('ip', '-6', 'addr', 'replace', 'fd00:7::1/64', 'dev', 'under0', 'nodad');
    expect(await answerOf([], '10.244.1.7')).toContain('refused');
    expect(await answerOf([], 'fd00::7')).toContain('refused');
    const inside = ['nsenter', `--net=${netns}`];
    expect(await answerOf(inside, '192.168.7.1')).toContain('refused');
    expect(await answerOf(inside, 'fd00:7::1')).toContain('refused');
    expect(await answerOf(inside, '127.0.0.1')).toContain('refused');
    expect(inPod('ip', 'link', 'show', 'eth0')).toContain('mtu 1450');
  });

  test('a pod leaves the ports of Envoy alone', async () => {
    await cni('ADD');
    expect(inPod('cat', '/proc/sys/net/ipv4/ip_local_reserved_ports').trim()).toBe('61000-65535');
  });

  test('a pod that runs Envoy takes every packet for its own and has ports that no other pod has', async () => {
    agent.answer = ({ command }) => (command === 'ADD' ? grant.replace('"mtu"', '"proxy":true,"mtu"') : '{"ok":true}');
    expect((await cni('ADD')).status).toBe(0);
    const setting = (key: string) => inPod('cat', `/proc/sys/net/ipv4/${key}`).trim();
    expect(setting('ip_local_port_range').split(/\s+/)).toEqual(['61000', '65535']);
    expect(setting('tcp_max_tw_buckets')).toBe('0');
    expect(setting('tcp_syncookies')).toBe('0');
    expect(setting('ip_local_reserved_ports')).toBe('');
    for (const family of ['-4', '-6']) {
      expect(inPod('ip', family, 'rule')).toContain('iif eth0 lookup 100');
      expect(inPod('ip', family, 'route', 'show', 'table', '100')).toContain('local default dev lo');
    }
  });

  test('the device stays down until the agent has answered', async () => {
    let seen = '';
    agent.answer = ({ command, hostIfName }) => {
      if (command !== 'ADD') return '{"ok":true}';
      seen = lab.run('ip', 'link', 'show', hostIfName ?? '') + inPod('ip', 'link', 'show', 'eth0');
      return grant;
    };
    expect((await cni('ADD')).status).toBe(0);
    expect(seen).toContain('state DOWN');
    expect(seen).not.toMatch(/<[^>]*\bUP\b/);
  });

  test('CHECK sees a lost address, a lost route and a lost device', async () => {
    const prevResult = JSON.parse((await cni('ADD')).stdout);
    const check = async () => {
      const { status, stdout } = await cni('CHECK', config({ prevResult }));
      return status === 0 ? 'fine' : String(JSON.parse(stdout).msg);
    };
    expect(await check()).toBe('fine');
    expect(agent.requests.at(-1)?.addresses).toEqual(['10.244.1.7/32', 'fd00::7/128']);
    inPod('ip', '-6', 'route', 'del', 'default');
    expect(await check()).toContain('fe80::1');
    inPod('ip', 'addr', 'del', '10.244.1.7/32', 'dev', 'eth0');
    expect(await check()).toContain('10.244.1.7/32');
    inPod('ip', 'link', 'del', 'eth0');
    expect(await check()).toContain('no device');
    expect(JSON.parse((await cni('CHECK')).stdout)).toMatchObject({ code: 7 });
  });

  test('what the agent refuses becomes a CNI error and leaves no device', async () => {
    agent.answer = ({ command }) =>
      command === 'ADD' ? '{"ok":false,"code":11,"message":"no policy yet"}' : '{"ok":true}';
    const { status, stdout } = await cni('ADD');
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toEqual({ cniVersion: '1.0.0', code: 11, msg: 'no policy yet' });
    expect(hostLinks()).toEqual([]);
    expect(agent.requests.map(({ command }) => command)).toEqual(['ADD', 'DEL']);
  });

  test.each([
    ['nothing', undefined],
    ['half a line', '{"ok":tr'],
    ['no addresses', '{"ok":true,"addresses":[],"mtu":1450}'],
    ['an address that is none', '{"ok":true,"addresses":["10.0.0.999/32"],"mtu":1450}'],
  ])('an agent that answers %s gives no network', async (_, answer) => {
    agent.answer = ({ command }) => (command === 'ADD' ? answer : '{"ok":true}');
    const { status, stdout } = await cni('ADD');
    expect(status).toBe(1);
    expect(JSON.parse(stdout).msg).toMatch(/agent/);
    expect(hostLinks()).toEqual([]);
  });

  test('without an agent ADD fails and DEL succeeds, twice, even when the namespace is gone', async () => {
    expect((await cni('ADD')).status).toBe(0);
    await agent.close();
    const other = await cni('ADD', config(), { CNI_CONTAINERID: 'other', CNI_IFNAME: 'eth1' });
    expect(JSON.parse(other.stdout)).toMatchObject({ code: 11, msg: expect.stringContaining(agent.path) });
    expect(hostLinks()).toHaveLength(1);
    expect(await cni('DEL')).toMatchObject({ status: 0, stdout: '' });
    expect(hostLinks()).toEqual([]);
    expect(await cni('DEL', config(), { CNI_NETNS: '' })).toMatchObject({ status: 0, stdout: '' });
    expect(await cni('DEL', config(), { CNI_NETNS: '/run/netns/gone' })).toMatchObject({ status: 0, stdout: '' });
  });

  test('an ADD that was cut off is made good by the next', async () => {
    expect((await cni('ADD')).status).toBe(0);
    expect((await cni('ADD')).status).toBe(0);
    expect(hostLinks()).toHaveLength(1);
  });

  test('VERSION and the older result shapes are as the specification says', async () => {
    const { stdout } = await cni('VERSION', '{"cniVersion":"0.4.0"}');
    expect(JSON.parse(stdout)).toEqual({
      cniVersion: '0.4.0',
      supportedVersions: ['0.3.1', '0.4.0', '1.0.0', '1.1.0'],
    });
    const old = JSON.parse((await cni('ADD', config({ cniVersion: '0.4.0' }))).stdout);
    expect(old.ips.map((ip: { version: string }) => ip.version)).toEqual(['4', '6']);
  });

  test.each([
    ['{"cniVersion":"1.0', 6],
    ['', 6],
    ['\u0000\u0001', 6],
    ['[1]', 7],
    ['{"cniVersion":{}}', 7],
    ['{"cniVersion":"7.0.0"}', 1],
    [`{"cniVersion":"1.0.0","socket":${'['.repeat(100_000)}`, 7],
  ])('broken stdin %# is answered with an error of the specification', async (input, code) => {
    const { status, stdout } = await cni('ADD', input);
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toEqual({ cniVersion: '1.0.0', code, msg: expect.stringMatching(/\w+ \w+/) });
  });

  test('a bad environment is an error of its own', async () => {
    for (const wrong of [
      { CNI_IFNAME: '../all' },
      { CNI_CONTAINERID: '' },
      { CNI_COMMAND: 'EXPLODE' },
      { CNI_NETNS: '' },
    ]) {
      const { stdout } = await cni('ADD', config(), wrong);
      expect(JSON.parse(stdout).code).toBe(4);
    }
  });

  test('libcni runs ADD, CHECK, STATUS, GC and DEL with 1.1.0', async () => {
    const bin = join(lab.directory, 'bin');
    mkdirSync(bin);
    execFileSync('cp', [join(dist, 'weft-cni'), bin]);
    const conflist = join(lab.directory, 'weft.conflist');
    writeFileSync(
      conflist,
      JSON.stringify({ cniVersion: '1.1.0', name: 'weft', plugins: [{ type: 'weft-cni', socket: agent.path }] }),
    );
    const libcni = (command: string, ...rest: string[]) =>
      lab.execute(
        join(lab.directory, 'cni-test'),
        [command, conflist, bin, join(lab.directory, 'cache'), ...rest],
        '',
        {},
      );
    expect(await libcni('STATUS')).toMatchObject({ status: 0, stdout: '' });
    const added = await libcni('ADD', container, netns);
    expect(JSON.parse(added.stdout)).toMatchObject({ cniVersion: '1.1.0', interfaces: [{ mtu: 1450 }, { mtu: 1450 }] });
    expect(await libcni('CHECK', container, netns)).toMatchObject({ status: 0 });
    const other = lab.addNetns(`other${count}`);
    expect(await libcni('ADD', 'stale', other)).toMatchObject({ status: 0 });
    expect(hostLinks()).toHaveLength(2);
    expect(await libcni('GC', container)).toMatchObject({ status: 0 });
    expect(hostLinks()).toHaveLength(1);
    expect(agent.requests.findLast(({ command }) => command === 'GC')?.valid).toEqual([
      { containerId: container, ifName: 'eth0' },
    ]);
    agent.answer = () => '{"ok":false,"code":50,"message":"the first state is not complete yet"}';
    const status = await libcni('STATUS');
    expect([status.status, JSON.parse(status.stdout)]).toEqual([1, expect.objectContaining({ code: 50 })]);
    expect(await libcni('DEL', container, netns)).toMatchObject({ status: 0 });
    expect(hostLinks()).toEqual([]);
  });
});
