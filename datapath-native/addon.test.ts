import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { FlowEvent, Row, Step, TableName } from './index.js';
import { Lab, type Worker, whyNot } from './testing/lab.ts';
import { rows, sample } from './testing/rows.ts';

const reason = whyNot();
const suite = reason === undefined ? describe : describe.skip;
const tables: TableName[] = ['addresses', 'policy', 'pods', 'proxy', 'services', 'backends'];

suite(`the addon${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let lab: Lab;
  let worker: Worker;

  beforeAll(async () => {
    lab = await Lab.start();
    worker = lab.worker();
    await worker.open(lab.options());
  });
  afterAll(async () => {
    await lab.stop();
  });

  const everything = async () => (await Promise.all(tables.map((table) => worker.call('dump', table)))).flat();
  const clear = async () => {
    const rows = await everything();
    expect(await worker.call('apply', [{ op: 'delete', rows }])).toEqual([]);
    expect(await everything()).toEqual([]);
  };

  test('pins its maps in a directory of the layout that only root can enter', () => {
    expect(lab.run('stat', '-c', '%a', `${lab.bpf}/weft`).trim()).toBe('700');
    expect(lab.run('ls', `${lab.bpf}/weft/v2`).split('\n')).toEqual(
      expect.arrayContaining(['links', 'weft_addresses', 'weft_conntrack', 'weft_policy', 'weft_services']),
    );
    expect(lab.run('ls', `${lab.bpf}/weft/v2/links`).split('\n')).toEqual(
      expect.arrayContaining(['underlay-ingress', 'cgroup-weft_connect4', 'cgroup-weft_connect6']),
    );
  });

  test('rows of every table come back from the kernel as they were written', async () => {
    await fc.assert(
      fc.asyncProperty(rows, async (written) => {
        await clear();
        expect(await worker.call('apply', [{ op: 'upsert', rows: written }])).toEqual([]);
        const found = await everything();
        expect(new Set(found.map(comparable))).toEqual(new Set(written.map(comparable)));
        expect(found).toHaveLength(written.length);
      }),
      { numRuns: 30 },
    );
    await clear();
  });

  test('a bad row is reported with its place and a sentence, and stops no other', async () => {
    const good = sample('addresses', '10.1.0.0/16');
    const steps: Step[] = [
      { op: 'upsert', rows: [{ ...good, prefix: '10.1.2.3/16' }, good] },
      { op: 'bump', slots: [99_999] },
      {
        op: 'upsert',
        rows: [{ table: 'backends', set: 5n, backends: [{ address: '10.0.0.1', port: 80 }], maglevSize: 4 }],
      },
      {
        op: 'upsert',
        rows: [
          {
            table: 'policy',
            set: 3n,
            class: 1n,
            direction: 'ingress',
            protocol: 6,
            port: 70_000,
            portBits: 16,
            verdict: 'allow',
            rule: 0,
          },
        ],
      },
    ];
    const errors = await worker.call('apply', steps);
    expect(errors.map(({ step, row }) => [step, row])).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
      [3, 0],
    ]);
    expect(errors[0]?.message).toContain('10.1.2.3/16');
    expect(errors[2]?.message).toContain('prime');
    expect(errors[3]?.message).toContain('70000');
    expect(await worker.call('dump', 'addresses')).toEqual([good]);
    await clear();
  });

  test('a long step crosses in pieces and reports errors at their own row', async () => {
    const many: Row[] = Array.from({ length: 2500 }, (_, index) =>
      sample('addresses', `10.${index >> 8}.${index & 255}.0/24`),
    );
    many[2400] = { ...sample('addresses', 'nonsense') };
    const errors = await worker.call('apply', [
      { op: 'bump', slots: [] },
      { op: 'upsert', rows: many },
    ]);
    expect(errors).toEqual([{ step: 1, row: 2400, message: expect.stringContaining('nonsense') }]);
    expect(await worker.call('dump', 'addresses')).toHaveLength(2499);
    await clear();
  });

  test('a full map is an error of the row that found no room', async () => {
    const slots = await worker.call('apply', [
      { op: 'upsert', rows: [{ table: 'pods', slot: 1024, ifindex: 3, set: 0n }] },
    ]);
    expect(slots[0]?.message).toContain('1024');
  });

  test('lookups answer with the longest prefix that the kernel finds', async () => {
    const addresses = ['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16'].map((prefix, index) => ({
      ...sample('addresses', prefix),
      class: BigInt(index + 1),
    }));
    const entry = { table: 'policy', set: 3n, class: 9n, direction: 'ingress', verdict: 'allow' } as const;
    const policy: Row[] = [
      { ...entry, protocol: 0, port: 0, portBits: 0, rule: 0 },
      { ...entry, protocol: 6, port: 8000, portBits: 13, rule: 1 },
      { ...entry, protocol: 6, port: 8001, portBits: 16, verdict: 'deny', rule: 2 },
    ];
    await worker.call('apply', [{ op: 'upsert', rows: [...addresses, ...policy] }]);
    expect((await worker.call('lookupAddress', '10.1.2.3'))?.prefix).toBe('10.1.0.0/16');
    expect((await worker.call('lookupAddress', '10.2.2.3'))?.class).toBe(2n);
    expect(await worker.call('lookupAddress', 'fd00::1')).toBeUndefined();
    const lookup = async (protocol: number, port: number) =>
      (await worker.call('lookupPolicy', { set: 3n, class: 9n, direction: 'ingress', protocol, port }))?.rule;
    expect([await lookup(6, 8001), await lookup(6, 8002), await lookup(6, 80), await lookup(17, 8001)]).toEqual([
      2, 1, 0, 0,
    ]);
    await clear();
  });

  test('a pod that moves to another device and address leaves no trace of the old ones', async () => {
    const pod = { table: 'pods', slot: 7, ifindex: 90, set: 4n, ipv4: '10.0.0.7', ipv6: 'fd00::7' } as const;
    const use = async (name: string) => (await worker.call('mapUse')).find((map) => map.name === name)?.entries;
    await worker.call('apply', [{ op: 'upsert', rows: [pod] }]);
    await worker.call('apply', [
      { op: 'upsert', rows: [{ table: 'pods', slot: 7, ifindex: 91, set: 4n, ipv4: '10.0.0.8' }] },
    ]);
    expect([await use('weft_pod_by_addr'), await use('weft_pod_by_dev'), await use('weft_pods')]).toEqual([1, 1, 1]);
    await worker.call('apply', [
      { op: 'delete', rows: [pod] },
      { op: 'delete', rows: [pod] },
    ]);
    expect([await use('weft_pod_by_addr'), await use('weft_pod_by_dev'), await use('weft_pods')]).toEqual([0, 0, 0]);
  });

  test('after kill -9 everything is still in the kernel, and the next process takes it over', async () => {
    const written: Row[] = [
      sample('addresses', '10.9.0.0/16'),
      { table: 'pods', slot: 3, ifindex: 1, set: 7n, ipv4: '10.9.0.3' },
      { table: 'backends', set: 5n, backends: [{ address: '10.9.0.3', port: 80 }], maglevSize: 13 },
    ];
    lab.run('ip', 'link', 'add', 'wpod0', 'type', 'veth', 'peer', 'name', 'wpod1');
    const device = (await worker.call('links')).find((link) => link.name === 'wpod0')?.index ?? 0;
    await worker.call('attachPod', device);
    await worker.call('apply', [{ op: 'upsert', rows: written }]);
    await worker.kill();
    worker = lab.worker();
    expect(await worker.open(lab.options())).toBe(true);
    expect(await everything()).toEqual(written);
    expect(await worker.call('attachedPods')).toEqual([device]);
    await clear();
  });

  test('a device that is gone loses its links when the next process opens', async () => {
    lab.run('ip', 'link', 'del', 'wpod0');
    await worker.kill();
    worker = lab.worker();
    await worker.open(lab.options());
    expect(await worker.call('attachedPods')).toEqual([]);
  });

  test('packets of a device without a pod are dropped, counted and told as events', async () => {
    const netns = lab.addNetns('stray');
    lab.run('ip', 'link', 'add', 'wstray', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns);
    lab.run('ip', 'link', 'set', 'wstray', 'up');
    const device = (await worker.call('links')).find((link) => link.name === 'wstray')?.index ?? 0;
    await worker.call('attachPod', device);
    await worker.call('attachPod', device);
    const inside = (...command: string[]) => lab.execute('nsenter', [`--net=${netns}`, ...command], '', {});
    await inside('ip', 'addr', 'add', '10.0.0.9/24', 'dev', 'eth0');
    await inside('ip', 'link', 'set', 'eth0', 'up');
    await inside('ip', 'neigh', 'add', '10.0.0.1', 'lladdr', '02:77:65:66:74:02', 'dev', 'eth0', 'nud', 'permanent');
    let seen: FlowEvent | undefined;
    while (seen === undefined) {
      await inside('timeout', '1', 'bash', '-c', ': < /dev/tcp/10.0.0.1/9');
      seen = (await worker.events()).events.find((event) => event.source === '10.0.0.9');
    }
    expect(seen).toMatchObject({
      type: 'drop',
      reason: 'unknown-pod',
      destination: '10.0.0.1',
      destinationPort: 9,
      protocol: 6,
    });
    expect(Math.abs(seen.time - Date.now())).toBeLessThan(60_000);
    const counted = (await worker.call('metrics')).find((metric) => metric.reason === 'unknown-pod');
    expect(counted?.packets).toBeGreaterThan(0);
    await worker.call('detachPod', device);
    await worker.call('detachPod', device);
    expect(await worker.call('attachedPods')).toEqual([]);
  });

  test('a proxy pod has programs inside its network namespace, which a new process takes over', async () => {
    const netns = lab.addNetns('proxy');
    lab.run('ip', 'link', 'add', 'wproxy', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns);
    const device = (await worker.call('links')).find((link) => link.name === 'wproxy')?.index ?? 0;
    const proxy = { table: 'proxy', slot: 7 } as const;
    const upsert = async (...rows: Row[]) => await worker.call('apply', [{ op: 'upsert', rows }]);
    expect(await upsert(proxy)).toEqual([{ step: 0, row: 0, message: expect.stringContaining('no proxy pod') }]);
    const pod = { table: 'pods', slot: 7, ifindex: device, set: 3n, ipv4: '10.0.0.7', proxy: true } as const;
    expect(await upsert(pod, proxy)).toEqual([]);
    expect(await worker.call('dump', 'pods')).toEqual([pod]);
    expect(await worker.call('dump', 'proxy')).toEqual([proxy]);
    await worker.call('attachPod', device);
    await worker.call('attachProxy', device, netns, 'eth0');
    const pins = () => lab.run('ls', `${lab.bpf}/weft/v2/links`).match(new RegExp(`^pod-${device}-.*$`, 'gm'));
    const wanted = ['egress', 'ingress', 'into-proxy', 'out-of-proxy'].map((end) => `pod-${device}-${end}`);
    expect(pins()).toEqual(wanted);
    await worker.kill();
    worker = lab.worker();
    expect(await worker.open(lab.options())).toBe(true);
    await worker.call('attachProxy', device, netns, 'eth0');
    expect(pins()).toEqual(wanted);
    await expect(worker.call('attachProxy', device, '/nowhere', 'eth0')).rejects.toThrow('/nowhere');
    await expect(worker.call('attachProxy', device, netns, 'eth9')).rejects.toThrow('eth9');
    await worker.call('detachPod', device);
    expect(pins()).toBeNull();
    await clear();
  });

  test('many pods are attached with short grace periods, which end, also those of a process that was killed', async () => {
    const expedited = () => lab.run('cat', '/sys/kernel/rcu_expedited').trim();
    const mark = `${lab.bpf}/weft/v2/hurry`;
    const marked = () => lab.run('ls', `${lab.bpf}/weft/v2`).split('\n').includes('hurry');
    const before = expedited();
    for (const pair of [1, 2, 3, 4])
      lab.run('ip', 'link', 'add', `many${pair}`, 'type', 'veth', 'peer', 'name', `peer${pair}`);
    const found = (await worker.call('links')).filter(({ name }) => /^(many|peer)/.test(name));
    const indexes = found.map(({ index }) => index);
    expect(indexes).toHaveLength(8);
    await worker.call('attachPods', indexes);
    expect({ expedited: expedited(), marked: marked() }).toEqual({ expedited: before, marked: false });
    for (const index of indexes) await worker.call('detachPod', index);
    await worker.kill();
    lab.run('mkdir', mark);
    lab.run('sh', '-c', 'echo 1 > /sys/kernel/rcu_expedited');
    worker = lab.worker();
    await worker.open(lab.options());
    expect({ expedited: expedited(), marked: marked() }).toEqual({ expedited: '0', marked: false });
  });

  test('a map with another budget is replaced, the others are kept', async () => {
    await worker.call('apply', [
      { op: 'upsert', rows: [sample('addresses', '10.9.0.0/16'), { table: 'pods', slot: 3, ifindex: 1, set: 7n }] },
    ]);
    await worker.kill();
    worker = lab.worker();
    expect(await worker.open({ ...lab.options(), budgets: { addresses: 128 } })).toBe(true);
    expect((await worker.call('mapUse')).find((map) => map.name === 'weft_addresses')).toEqual({
      name: 'weft_addresses',
      entries: 0,
      budget: 128,
    });
    expect(await worker.call('dump', 'pods')).toHaveLength(1);
    const full = await worker.call('apply', [
      { op: 'upsert', rows: Array.from({ length: 129 }, (_, index) => sample('addresses', `10.0.${index}.0/24`)) },
    ]);
    expect(full).toEqual([{ step: 0, row: 128, message: expect.stringContaining('full') }]);
    await clear();
  });

  test.each([
    ['no bpffs', { pinDir: '/tmp/wnat-no-bpffs' }, 'mount -t bpf'],
    ['no such underlay', { underlay: 'nothing0' }, 'nothing0'],
    ['no cgroup2', { cgroup: '/tmp' }, 'cgroup2'],
    ['a bad address', { nodeIPv4: '10.0.0.256' }, '10.0.0.256'],
    ['an unknown budget', { budgets: { nonsense: 5 } }, 'nonsense'],
  ])('open says what is wrong: %s', async (_, wrong, hint) => {
    const other = lab.worker();
    await expect(other.open({ ...lab.options(), ...wrong })).rejects.toThrow(hint);
    await other.kill();
    lab.run('rm', '-rf', '/tmp/wnat-no-bpffs');
  });

  test('routes, neighbours and links go to the kernel and come back', async () => {
    const route = { destination: '10.244.9.0/24', via: '192.168.7.2', device: 'under0' };
    const black = { destination: '10.244.1.0/24' };
    await worker.call('replaceRoute', route);
    await worker.call('replaceRoute', route);
    await worker.call('replaceRoute', black);
    lab.run('ip', 'route', 'add', '10.7.0.0/24', 'dev', 'under0');
    expect(await worker.call('routes')).toEqual([black, route]);
    await worker.call('deleteRoute', route);
    await worker.call('deleteRoute', route);
    await worker.call('deleteRoute', black);
    expect(await worker.call('routes')).toEqual([]);
    await worker.call('replaceNeighbour', { device: 'under0', address: '192.168.7.9', mac: '02:00:00:00:00:09' });
    expect(lab.run('ip', 'neigh', 'show', '192.168.7.9')).toContain('02:00:00:00:00:09 PERMANENT');
    const under = (await worker.call('links')).find((link) => link.name === 'under0');
    expect(under).toMatchObject({ up: true, mtu: 1500, addresses: expect.arrayContaining(['192.168.7.1/24']) });
    await expect(worker.call('replaceRoute', { ...route, destination: 'x' })).rejects.toThrow('prefix');
  });

  test('uninstall removes every pin, and so the programs', async () => {
    await worker.uninstall(`${lab.bpf}/weft`);
    expect(lab.run('ls', lab.bpf)).not.toContain('weft');
    await worker.uninstall(`${lab.bpf}/weft`);
  });
});

/** Text by which rows can be compared as a set. */
function comparable(row: Row): string {
  const fields = Object.entries(row).sort(([one], [other]) => one.localeCompare(other));
  return JSON.stringify(fields, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));
}
