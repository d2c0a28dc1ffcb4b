/** Two pods on one node, or on two nodes with a link between them, as network namespaces; with Weft or without. */
import { existsSync } from 'node:fs';
import { constants } from 'bpf-loader-napi';
import { sh } from '../scratch.ts';

export interface Pod {
  readonly namespace: string;
  /** Namespace of its node. */
  readonly node: string;
  readonly address: string;
  /** Host side of its veth. */
  readonly device: string;
}

export interface Topology {
  readonly nodes: readonly { readonly namespace: string; readonly address: string }[];
  readonly client: Pod;
  readonly server: Pod;
  /** For Envoy; on the client's node. */
  readonly proxy: Pod | undefined;
}

const prefix = 'wbench';

function addPod(pod: Pod): void {
  const { namespace, node, address, device } = pod;
  const inPod = `ip -n ${namespace}`;
  const onNode = `ip -n ${node}`;
  sh(`
    ip netns add ${namespace}
    ${onNode} link add ${device} address ${constants.hostMac} type veth peer name eth0 address ${constants.podMac} netns ${namespace}
    ${inPod} link set lo up
    ${inPod} addr add ${address}/32 dev eth0
    ${inPod} link set eth0 up
    ${onNode} link set ${device} up
    ${inPod} neigh add 169.254.1.1 lladdr ${constants.hostMac} dev eth0 nud permanent
    ${inPod} route add default via 169.254.1.1 dev eth0 onlink
    ${onNode} route add ${address}/32 dev ${device}
    ${onNode} neigh add ${address} lladdr ${constants.podMac} dev ${device} nud permanent`);
}

function addNode(namespace: string): void {
  sh(`
    ip netns add ${namespace}
    ip -n ${namespace} link set lo up
    ip netns exec ${namespace} sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0`);
}

/** What weft-cni makes of the namespace of a proxy pod. */
function deliverEverything({ namespace }: Pod): void {
  const settings = [
    ['net.ipv4.ip_local_port_range', '61000 65535'],
    ['net.ipv4.tcp_max_tw_buckets', '0'],
    ['net.ipv4.tcp_syncookies', '0'],
    ['net.ipv4.tcp_max_syn_backlog', '16384'],
    ['net.core.somaxconn', '16384'],
    ['net.ipv4.conf.eth0.rp_filter', '0'],
    ['net.ipv4.conf.all.rp_filter', '0'],
  ].map(([key, value]) => `'${key}=${value}'`);
  sh(`
    ip netns exec ${namespace} sysctl -qw ${settings.join(' ')}
    ip -n ${namespace} route add local default dev lo table 100
    ip -n ${namespace} rule add iif eth0 table 100`);
}

/**
 * @param name distinguishes topologies that stand beside each other
 * @param proxy with one more pod, for Envoy: `weft` as weft-cni makes it, `plain` as any other pod
 */
export function makeTopology(name: string, across: boolean, proxy?: 'weft' | 'plain'): Topology {
  const nodes = ['a', 'b'].map((letter, index) => ({
    namespace: `${prefix}${process.pid}-${name}-n${letter}`,
    address: `172.31.0.${index + 1}`,
  }));
  const [first, second] = nodes;
  if (first === undefined || second === undefined) throw new Error('two nodes are made');
  for (const node of nodes) addNode(node.namespace);
  sh(`
    ip -n ${first.namespace} link add eth0 type veth peer name eth0 netns ${second.namespace}
    ip -n ${first.namespace} addr add ${first.address}/24 dev eth0
    ip -n ${second.namespace} addr add ${second.address}/24 dev eth0
    ip -n ${first.namespace} link set eth0 up
    ip -n ${second.namespace} link set eth0 up
    ip -n ${first.namespace} route add 10.99.2.0/24 via ${second.address}
    ip -n ${second.namespace} route add 10.99.1.0/24 via ${first.address}`);
  const serverNode = across ? second : first;
  const client: Pod = {
    namespace: `${prefix}${process.pid}-${name}-c`,
    node: first.namespace,
    address: '10.99.1.2',
    device: 'pod-c',
  };
  const server: Pod = {
    namespace: `${prefix}${process.pid}-${name}-s`,
    node: serverNode.namespace,
    address: across ? '10.99.2.3' : '10.99.1.3',
    device: 'pod-s',
  };
  addPod(client);
  addPod(server);
  if (proxy === undefined) return { nodes, client, server, proxy: undefined };
  const third: Pod = {
    namespace: `${prefix}${process.pid}-${name}-p`,
    node: first.namespace,
    address: '10.99.1.4',
    device: 'pod-p',
  };
  addPod(third);
  if (proxy === 'weft') deliverEverything(third);
  return { nodes, client, server, proxy: third };
}

/** Removes the topologies of this process, and those of runs that were killed. */
export function removeTopologies(): void {
  for (const line of sh('ip netns list').split('\n')) {
    const [name = ''] = line.split(' ');
    const owner = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN;
    if (owner === process.pid || (owner > 0 && !existsSync(`/proc/${owner}`))) {
      // What has become another user outlives a parent that was killed.
      sh(`ip netns pids ${name} | xargs -r kill -KILL || true; ip netns del ${name}`);
    }
  }
}
