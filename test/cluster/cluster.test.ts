import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Cluster, openCluster } from './cluster.ts';
import { corednsObjects } from './coredns.ts';
import { buildArchive } from './image/archive.ts';
import { buildLayer } from './image/layer.ts';
import { debianLayer } from './image/rootfs.ts';
import { readLedger } from './ledger.ts';
import { whyNotHere } from './prerequisites.ts';
import { startCluster } from './start.ts';
import { until } from './wait.ts';

const skip = whyNotHere();
const describeHere = skip === undefined ? describe : describe.skip;
const probeImage = 'weft.local/probe:1';

/** A privileged pod on the host network with what Weft's agent mounts. */
const probe = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name: 'probe', namespace: 'default' },
  spec: {
    selector: { matchLabels: { app: 'probe' } },
    template: {
      metadata: { labels: { app: 'probe' } },
      spec: {
        hostNetwork: true,
        tolerations: [{ operator: 'Exists' }],
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: 'probe',
            image: probeImage,
            imagePullPolicy: 'Never',
            securityContext: { privileged: true },
            volumeMounts: [
              { name: 'bpf', mountPath: '/sys/fs/bpf', mountPropagation: 'Bidirectional' },
              { name: 'cgroup', mountPath: '/node-cgroup' },
              { name: 'cni-bin', mountPath: '/node-cni-bin' },
              { name: 'cni-conf', mountPath: '/node-cni-conf' },
            ],
          },
        ],
        volumes: [
          { name: 'bpf', hostPath: { path: '/sys/fs/bpf' } },
          { name: 'cgroup', hostPath: { path: '/sys/fs/cgroup/unified' } },
          { name: 'cni-bin', hostPath: { path: '/opt/cni/bin' } },
          { name: 'cni-conf', hostPath: { path: '/etc/cni/net.d' } },
        ],
      },
    },
  },
};

describeHere(`a cluster${skip === undefined ? '' : ` (skipped: ${skip})`}`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-cluster-'));
  let cluster: Cluster;
  let archive: string;
  const podOn = (node: string) =>
    cluster.kubectl([
      'get',
      'pods',
      '-l',
      'app=probe',
      '-o',
      'jsonpath={.items[*].metadata.name}',
      '--field-selector',
      `spec.nodeName=${node}`,
    ]);
  const onNode = async (node: string, command: string) =>
    cluster.exec('default', await podOn(node), ['sh', '-c', command]);

  beforeAll(async () => {
    cluster = await startCluster({ name: 'test', dir, nodes: 2 });
    const base = await debianLayer();
    const own = await buildLayer([{ content: '#!/bin/sh\nwhile :; do sleep 3600; done\n', to: '/probe', mode: 0o755 }]);
    archive = await buildArchive([{ name: probeImage, layers: [base, own], entrypoint: ['/probe'] }]);
    await cluster.loadImage(archive);
    await cluster.apply(probe);
    await cluster.kubectl(['rollout', 'status', 'ds/probe', '--timeout=90s']);
  }, 900_000);

  afterAll(async () => {
    await cluster?.stop();
    rmSync(dir, { recursive: true, force: true });
  }, 60_000);

  test('gives every node addresses and pod CIDRs of both families', async () => {
    const nodes: {
      items: { spec: { podCIDRs: string[] }; status: { addresses: { type: string; address: string }[] } }[];
    } = JSON.parse(await cluster.kubectl(['get', 'nodes', '-o', 'json']));
    const seen = nodes.items.map(({ spec, status }) => ({
      pods: spec.podCIDRs.map((cidr) => cidr.replace(/^.*\//, '/')),
      addresses: status.addresses.filter((one) => one.type === 'InternalIP').map((one) => one.address),
    }));
    expect(seen).toEqual(
      cluster.nodes.map(({ address }) => ({ pods: ['/24', '/64'], addresses: [address.v4, address.v6] })),
    );
  });

  test('leaves nodes NotReady for want of a CNI, and has no kube-proxy', async () => {
    const reason = await cluster.kubectl([
      'get',
      'nodes',
      '-o',
      'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].message}',
    ]);
    expect(reason).toContain('cni plugin not initialized');
    expect(cluster.processes().map((one) => one.name)).not.toContain('kube-proxy');
  });

  test('runs exec, and serves logs, through the API server', async () => {
    expect(await onNode('node1', 'ip -o addr show eth0')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(cluster.node('node1').address.v6),
    });
    await cluster.kubectl(['logs', 'ds/probe']);
  });

  test("keeps a pod's processes inside its node's cgroup2 directory, which the pod sees as the root", async () => {
    for (const { name, cgroup } of cluster.nodes) {
      const pods = readdirSync('/proc')
        .filter((pid) => /^\d+$/.test(pid) && read(`/proc/${pid}/cmdline`).startsWith('/bin/sh\0/probe\0'))
        .map((pid) => /^0::(.*)$/m.exec(read(`/proc/${pid}/cgroup`))?.[1] ?? '')
        .filter((path) => path.startsWith(`${cgroup}/kubepods/`));
      expect(pods).toHaveLength(1);
      expect(read(`/proc/${cluster.pid(`${name}/kubelet`)}/cgroup`)).toContain(`\n0::${cgroup}\n`);
      const inside = pods[0]?.replace(cgroup, '/node-cgroup');
      expect(await onNode(name, `ls -d ${inside}`)).toMatchObject({ code: 0, stdout: `${inside}\n` });
    }
  });

  test('gives each node a bpf file system and CNI directories of its own, writable from a pod', async () => {
    const written = await onNode(
      'node1',
      'mkdir /sys/fs/bpf/mark && touch /node-cni-bin/mark /node-cni-conf/mark && stat -f -c %T /sys/fs/bpf',
    );
    expect(written).toMatchObject({ code: 0 });
    const look = ['sh', '-c', 'ls -d /sys/fs/bpf/mark /opt/cni/bin/mark /etc/cni/net.d/mark 2>/dev/null; true'];
    expect((await cluster.execInNode('node1', look)).stdout.trim().split('\n')).toHaveLength(3);
    expect((await cluster.execInNode('node2', look)).stdout).toBe('');
    expect(['/sys/fs/bpf/mark', '/opt/cni/bin/mark', '/etc/cni/net.d/mark'].filter(existsSync)).toEqual([]);
    await cluster.execInNode('node1', ['rm', '/etc/cni/net.d/mark']);
  });

  test('lets host-network pods reach the API server at the underlay, in both families', async () => {
    const { v4, v6 } = cluster.plan.controlPlane;
    const answers = await onNode('node2', `curl -sk https://${v4}:6443/livez; curl -sk https://[${v6}]:6443/livez`);
    expect(answers.stdout).toBe('okok');
  });

  test('cuts a node off the underlay and plugs it back', async () => {
    const reach = (address: string) =>
      cluster.outsideClient().exec(['curl', '-sk', '-m', '2', '-o', '/dev/null', `https://${address}:10250/healthz`]);
    const { v4, v6 } = cluster.node('node2').address;
    expect((await reach(v4)).code).toBe(0);
    await cluster.cutLink('node2');
    expect((await reach(v4)).code).not.toBe(0);
    await cluster.restoreLink('node2');
    expect((await reach(`[${v6}]`)).code).toBe(0);
  });

  test('loses nothing when the API server is killed and restarted and etcd compacted', async () => {
    await cluster.kubectl(['create', 'configmap', 'kept', '--from-literal=a=b']);
    await cluster.kill('kube-apiserver');
    expect(cluster.processes().find((one) => one.name === 'kube-apiserver')?.alive).toBe(false);
    expect(openCluster(dir, cluster.bin)).toBeUndefined();
    await cluster.restart('kube-apiserver');
    await until('the API server', () => cluster.kubectl(['get', 'configmap', 'kept', '-o', 'name']));
    expect(await cluster.compactEtcd()).toBeGreaterThan(1);
    expect(openCluster(dir, cluster.bin)).toBeDefined();
  });

  test('starts and imports nothing a second time', async () => {
    const before = readLedger(dir);
    const again = await startCluster({ name: 'test', dir, nodes: 2 });
    await again.loadImage(archive);
    expect(readLedger(dir)).toEqual(before);
  });

  test('accepts the objects of CoreDNS, with a dual-stack Service at the tenth addresses', async () => {
    await cluster.apply(...corednsObjects(cluster.plan));
    const addresses = await cluster.kubectl([
      'get',
      'svc',
      '-n',
      'kube-system',
      'kube-dns',
      '-o',
      'jsonpath={.spec.clusterIPs}',
    ]);
    expect(JSON.parse(addresses)).toEqual(['10.96.0.10', 'fd00:10:96::a']);
  });

  test('lets the outside client reach pod addresses through their node, and its far address only by the gateway', async () => {
    const outsideClient = cluster.outsideClient();
    const cidrs = await cluster.kubectl(['get', 'node', 'node1', '-o', 'jsonpath={.spec.podCIDRs[*]}']);
    const [v4 = '', v6 = ''] = cidrs.split(' ').map((cidr) => cidr.replace(/\.0\/24$/, '.9').replace(/::\/64$/, '::9'));
    await cluster.execInNode('node1', ['sh', '-c', `ip addr add ${v4}/32 dev lo; ip addr add ${v6}/128 dev lo`]);
    for (const address of [v4, `[${v6}]`]) {
      const argv = [
        'curl',
        '-sk',
        '-m',
        '3',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        `https://${address}:10250/healthz`,
      ];
      expect((await outsideClient.exec(argv)).stdout).toBe('401');
    }
    const { v4: world4, v6: world6 } = outsideClient.world;
    const routes = await cluster.execInNode('node1', ['sh', '-c', `ip route get ${world4}; ip route get ${world6}`]);
    expect(routes.stdout).toContain(`via ${cluster.plan.controlPlane.v4}`);
    expect(routes.stdout).toContain(`via ${cluster.plan.controlPlane.v6}`);
    // Answered by the client's kernel: nothing listens there, but the packet came and its refusal went back.
    const refused = await cluster.execInNode('node1', ['curl', '-s', '-m', '3', `http://${world4}:1/`]);
    expect(refused.code).toBe(7);
  });

  test('runs beside another cluster with the same pod and Service addresses', async () => {
    const other = mkdtempSync(join(tmpdir(), 'weft-cluster-'));
    const second = await startCluster({ name: 'test', dir: other, nodes: 0 });
    try {
      expect(second.plan.index).not.toBe(cluster.plan.index);
      expect(await second.kubectl(['get', 'nodes', '-o', 'name'])).toBe('');
      expect(await cluster.kubectl(['get', 'nodes', '-o', 'name'])).toContain('node/node1');
    } finally {
      await second.stop();
      rmSync(other, { recursive: true, force: true });
    }
  }, 120_000);

  test('boots a node again that lost its power, with what was on its disk', async () => {
    await cluster.kill('node2/machine');
    await until('the node to go', () => !cluster.processes().some((one) => one.name === 'node2/kubelet' && one.alive));
    await cluster.bootNode(cluster.node('node2'));
    await until(
      'the pod of node2 to run again',
      async () => (await onNode('node2', 'ls /node-cgroup/kubepods')).code === 0,
      { timeout: 60_000, every: 500 },
    );
  }, 120_000);

  test('adds a node', async () => {
    const node = await cluster.addNode();
    expect(node.name).toBe('node3');
    const namespaces = cluster.nodes.map((one) => readlinkSync(`/proc/${cluster.nodeInit(one.name)}/ns/net`));
    expect(new Set(namespaces).size).toBe(3);
  }, 60_000);
});

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
