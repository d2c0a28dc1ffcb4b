/**
 * The underlay: one Ethernet segment inside this machine, a bridge in the control plane's network namespace.
 * Namespaces have no names: each is held by a recorded process and goes with it, and so do the links in it.
 */
import { readlinkSync } from 'node:fs';
import { type Ledger, openLedger, type ProcessEntry } from './ledger.ts';
import { exclusively } from './mutex.ts';
import { type ClusterPlan, type NodePlan, type PlanOptions, planCluster, underlayPrefix } from './plan.ts';
import { launch } from './processes.ts';
import { capture, run, shell } from './run.ts';
import { until } from './wait.ts';

const bridge = 'underlay';
const { v4: bits4, v6: bits6 } = underlayPrefix;

/** Arguments that run a command in the network namespace of a process. */
export function inNetworkOf(pid: number): string[] {
  return ['nsenter', `--net=/proc/${pid}/ns/net`, '--'];
}

/**
 * Makes the bridge and this machine's link to it, on the first of 256 subnets that this machine has no address in.
 * @throws Error when all are taken
 */
export async function createUnderlay(
  options: PlanOptions,
  log: string,
): Promise<{ plan: ClusterPlan; holder: ProcessEntry }> {
  const ledger = openLedger(options.dir);
  const holder = await holdNamespace(ledger, 'network', log);
  return exclusively('underlay', 30_000, async () => {
    const plan = planCluster(options, await freeIndex());
    await shell(
      `ip link set lo up
       ip link add ${bridge} type bridge
       sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.${bridge}.send_redirects=0
       ip addr add ${plan.controlPlane.v4}/${bits4} dev ${bridge}
       ip addr add ${plan.controlPlane.v6}/${bits6} dev ${bridge} nodad
       ip link set ${bridge} up
       ip route add ${plan.world.v4}/32 via ${plan.client.v4}
       ip -6 route add ${plan.world.v6}/128 via ${plan.client.v6}`,
      inNetworkOf(holder.pid),
    );
    ledger.append({ kind: 'link', name: plan.hostLink });
    await shell(
      `ip link add ${plan.hostLink} type veth peer name host netns ${holder.pid}
       ip addr add ${plan.host.v4}/${bits4} dev ${plan.hostLink}
       ip addr add ${plan.host.v6}/${bits6} dev ${plan.hostLink} nodad
       ip link set ${plan.hostLink} up`,
    );
    await shell(`ip link set host master ${bridge} up`, inNetworkOf(holder.pid));
    return { plan, holder };
  });
}

/** A client that is not of the cluster; its routes to the pods of a node come with the node. */
export async function createClient(
  ledger: Ledger,
  plan: ClusterPlan,
  holder: number,
  log: string,
): Promise<ProcessEntry> {
  const client = await holdNamespace(ledger, 'client', log);
  await plug(holder, 'client', client.pid, plan.client, plan);
  await shell(
    `ip addr add ${plan.world.v4}/32 dev lo
     ip -6 addr add ${plan.world.v6}/128 dev lo nodad`,
    inNetworkOf(client.pid),
  );
  return client;
}

/** Gives the node's namespace its `eth0`, plugged into the underlay. */
export async function plugNode(plan: ClusterPlan, node: NodePlan, holder: number, pid: number): Promise<void> {
  await plug(holder, node.port, pid, node.address, plan);
}

/** Lets the outside client reach a node's pods through that node. */
export async function routePods(node: NodePlan, podCIDRs: readonly string[], client: number): Promise<void> {
  for (const cidr of podCIDRs) {
    const via = cidr.includes(':') ? node.address.v6 : node.address.v4;
    await run([...inNetworkOf(client), 'ip', 'route', 'replace', cidr, 'via', via]);
  }
}

/** Unplugs the node at the bridge: its own link stays up and carries nothing, as when a switch fails. */
export async function unplug(holder: number, port: string): Promise<void> {
  await run([...inNetworkOf(holder), 'ip', 'link', 'set', port, 'nomaster']);
}

export async function plugBack(holder: number, port: string): Promise<void> {
  await run([...inNetworkOf(holder), 'ip', 'link', 'set', port, 'master', bridge]);
}

async function plug(
  holder: number,
  port: string,
  pid: number,
  address: ClusterPlan['client'],
  plan: ClusterPlan,
): Promise<void> {
  const inHolder = inNetworkOf(holder);
  await capture([...inHolder, 'ip', 'link', 'del', port]); // what is left of an earlier life of the node
  await shell(
    `ip link add ${port} type veth peer name eth0 netns ${pid}
     ip link set ${port} master ${bridge} up`,
    inHolder,
  );
  await shell(
    `ip link set lo up
     ip addr add ${address.v4}/${bits4} dev eth0
     ip addr add ${address.v6}/${bits6} dev eth0 nodad
     ip link set eth0 up
     ip route add default via ${plan.controlPlane.v4}
     ip -6 route add default via ${plan.controlPlane.v6}`,
    inNetworkOf(pid),
  );
}

/** A process that does nothing but keep a new network namespace alive. */
async function holdNamespace(ledger: Ledger, name: string, log: string): Promise<ProcessEntry> {
  const argv = ['unshare', '--net', '--', 'sh', '-c', 'ip link set lo up; exec sleep infinity'];
  const entry = await launch(ledger, { name, argv, log });
  const ours = readlinkSync('/proc/self/ns/net');
  await until(`the network namespace of ${name}`, () => readlinkSync(`/proc/${entry.pid}/ns/net`) !== ours, {
    timeout: 10_000,
    every: 5,
  });
  return entry;
}

async function freeIndex(): Promise<number> {
  const addresses = await run(['ip', '-o', '-4', 'addr', 'show']);
  const taken = new Set([...addresses.matchAll(/inet 10\.250\.(\d+)\./g)].map((match) => Number(match[1])));
  for (let index = 0; index < 256; index += 1) if (!taken.has(index)) return index;
  throw new Error('all 256 subnets of 10.250.0.0/16 are in use on this machine: stop a cluster');
}
