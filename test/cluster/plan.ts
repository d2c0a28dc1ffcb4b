/** The addresses and names of a cluster, as a pure function of a few numbers. */
import { join } from 'node:path';
import { z } from 'zod';
import { hashOf } from './cache.ts';

const Pair = z.object({ v4: z.string(), v6: z.string() });
/** One address or subnet of each family. */
export type Pair = z.infer<typeof Pair>;

const NodePlan = z.object({
  name: z.string(),
  /** Address on the underlay. */
  address: Pair,
  /** Files of the node, and the upper layers of what it writes to the machine's directories. */
  dir: z.string(),
  /** Its cgroup from the root of every hierarchy; `/` from inside. */
  cgroup: z.string(),
  /** Name of its port on the underlay's bridge. */
  port: z.string(),
});
export type NodePlan = z.infer<typeof NodePlan>;

const ClusterPlan = z.object({
  name: z.string(),
  dir: z.string(),
  /** Which of the 256 underlays: 10.250.INDEX.0/24 and fd00:250:INDEX::/64. */
  index: z.number().int().min(0).max(255),
  podCIDR: Pair,
  serviceCIDR: Pair,
  /** The control plane on the underlay: also the nodes' default gateway. */
  controlPlane: Pair,
  /** This machine's own network namespace on the underlay. */
  host: Pair,
  /** A client outside the cluster, on the underlay. */
  client: Pair,
  /** The same client's address beyond the default gateway: what a pod must be masqueraded to reach. */
  world: Pair,
  /** Name of the machine's own end of the link to the underlay. */
  hostLink: z.string(),
});
export type ClusterPlan = z.infer<typeof ClusterPlan>;

/** The file `cluster.json`: written when the cluster is complete, so that later processes find it. */
export const ClusterState = z.object({ plan: ClusterPlan, nodes: z.array(NodePlan) });
export type ClusterState = z.infer<typeof ClusterState>;

export interface PlanOptions {
  readonly name: string;
  readonly dir: string;
  readonly podCIDR?: Pair;
  readonly serviceCIDR?: Pair;
}

export const underlayPrefix = { v4: 24, v6: 64 } as const;

export function planCluster(options: PlanOptions, index: number): ClusterPlan {
  if (!/^[a-z][a-z0-9-]{0,30}$/.test(options.name)) {
    throw new Error(`a cluster's name is up to 31 lower-case letters, digits and dashes, not ${options.name}`);
  }
  return {
    name: options.name,
    dir: options.dir,
    index,
    podCIDR: options.podCIDR ?? { v4: '10.244.0.0/16', v6: 'fd00:10:244::/56' },
    serviceCIDR: options.serviceCIDR ?? { v4: '10.96.0.0/16', v6: 'fd00:10:96::/112' },
    controlPlane: underlayAddress(index, 1),
    host: underlayAddress(index, 254),
    client: underlayAddress(index, 253),
    world: { v4: '203.0.113.1', v6: '2001:db8:113::1' },
    hostLink: `weft${clusterId(options.dir)}`,
  };
}

/** Node number `number`, from 1. */
export function planNode(cluster: ClusterPlan, number: number): NodePlan {
  if (number < 1 || number > 200) throw new Error(`a cluster has at most 200 nodes, so there is no node ${number}`);
  const name = `node${number}`;
  return {
    name,
    address: underlayAddress(cluster.index, 10 + number),
    dir: join(cluster.dir, 'nodes', name),
    cgroup: `/weft-${cluster.name}-${clusterId(cluster.dir)}-${name}`,
    port: name,
  };
}

/** The n-th address of a Service CIDR of either family; the 1st is `kubernetes`, the 10th `kube-dns` by custom. */
export function serviceAddress(cidr: Pair, n: number): Pair {
  const v4 = cidr.v4.replace(/\.0\/\d+$/, `.${n}`);
  const v6 = cidr.v6.replace(/::\/\d+$/, `::${n.toString(16)}`);
  if (v4 === cidr.v4 || v6 === cidr.v6) {
    throw new Error(`the Service CIDRs must end in .0/n and ::/n, not ${cidr.v4} and ${cidr.v6}`);
  }
  return { v4, v6 };
}

/** Tells clusters of different directories apart in names that have room for eight characters. */
export function clusterId(dir: string): string {
  return hashOf(dir).slice(0, 8);
}

/** In the canonical text form (RFC 5952), which is what the kernel and Kubernetes print. */
function underlayAddress(index: number, host: number): Pair {
  const subnet = index === 0 ? 'fd00:250' : `fd00:250:${index.toString(16)}`;
  return { v4: `10.250.${index}.${host}`, v6: `${subnet}::${host.toString(16)}` };
}
