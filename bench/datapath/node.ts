/** One node of the benchmark: `node node.ts CONFIG`, run in the node's network namespace. Loads Weft's programs,
 * says "ready" and stays until its standard input ends. */
import { Datapath, links, type Row } from 'bpf-loader-napi';
import { QUARANTINE_SET } from '../../agent/tables/rows.ts';

export interface NodeConfig {
  readonly pinDir: string;
  readonly cgroup: string;
  readonly nodeIPv4: string;
  /** Pods of this node, by the host side of their veth. */
  readonly pods: readonly { readonly device: string; readonly address: string }[];
  readonly peers: readonly string[];
  readonly nodes: readonly string[];
  /** TCP ports that peers may dial; with proxyPort, Envoy's listener decides. */
  readonly ports: readonly { readonly port: number; readonly proxyPort?: number }[];
  /** The pod that runs Envoy. */
  readonly proxy?: { readonly device: string; readonly address: string; readonly namespace: string };
  readonly services: number;
  readonly backend: { readonly address: string; readonly port: number };
}

const config = JSON.parse(process.argv[2] ?? '{}') as NodeConfig;
const set = 0x1000n | 1n; // ingress is denied unless allowed
const peerClass = 7n;

const datapath = await Datapath.open({
  pinDir: config.pinDir,
  cgroup: config.cgroup,
  underlay: 'eth0',
  nodeIPv4: config.nodeIPv4,
});
const byName = new Map((await links()).map((link) => [link.name, link.index]));
const rows: Row[] = [
  { table: 'addresses', prefix: '0.0.0.0/0', class: 1n, kind: 'world' },
  { table: 'addresses', prefix: '10.99.0.0/16', class: 2n, kind: 'pod' },
  ...config.nodes.map((address) => ({
    table: 'addresses' as const,
    prefix: `${address}/32`,
    class: 3n,
    kind: address === config.nodeIPv4 ? ('host' as const) : ('remote-node' as const),
  })),
  ...config.peers.map((address) => ({
    table: 'addresses' as const,
    prefix: `${address}/32`,
    class: peerClass,
    kind: 'pod' as const,
  })),
  ...config.ports.map(
    ({ port, proxyPort }): Row => ({
      table: 'policy',
      set,
      class: peerClass,
      direction: 'ingress',
      protocol: 6,
      port,
      portBits: 16,
      rule: 0,
      ...(proxyPort === undefined ? { verdict: 'allow' } : { verdict: 'proxy', proxyPort }),
    }),
  ),
  {
    table: 'policy',
    set,
    class: 2n,
    direction: 'ingress',
    protocol: 6,
    port: 80,
    portBits: 16,
    verdict: 'deny',
    rule: 1,
  },
];
config.pods.forEach(({ device, address }, slot) => {
  rows.push({ table: 'pods', slot, ifindex: byName.get(device) ?? 0, set, ipv4: address });
});
const { proxy } = config;
if (proxy !== undefined) {
  const slot = config.pods.length;
  const ifindex = byName.get(proxy.device) ?? 0;
  rows.push({ table: 'pods', slot, ifindex, set: QUARANTINE_SET, ipv4: proxy.address, proxy: true });
  rows.push({ table: 'proxy', slot });
}
if (config.services > 0) {
  rows.push({ table: 'backends', set: 99n, maglevSize: 0, backends: [config.backend] });
  for (let index = 0; index < config.services; index++) {
    rows.push({
      table: 'services',
      address: `10.96.${index >> 8}.${index & 255}`,
      port: 80,
      protocol: 6,
      scope: 'internal',
      family: 4,
      backends: 99n,
      service: BigInt(index + 1),
      count: 1,
      nodePort: false,
      affinitySeconds: 0,
      maglevSize: 0,
    });
  }
}
const errors = await datapath.apply([{ op: 'upsert', rows }]);
if (errors.length > 0) throw new Error(JSON.stringify(errors.slice(0, 3)));
for (const { device } of config.pods) await datapath.attachPod(byName.get(device) ?? 0);
if (proxy !== undefined) {
  const ifindex = byName.get(proxy.device) ?? 0;
  await datapath.attachPod(ifindex);
  await datapath.attachProxy(ifindex, `/run/netns/${proxy.namespace}`, 'eth0');
}
process.stdout.write('ready\n');
process.stdin.resume();
await new Promise((resolve) => process.stdin.once('end', resolve));
datapath.close();
await Datapath.uninstall(config.pinDir);
process.exit(0);
