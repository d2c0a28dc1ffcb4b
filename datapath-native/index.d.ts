/** Weft's datapath for Node: loads the eBPF programs, owns the pinned maps, decodes events. Nothing here blocks the
 * event loop: what may take long runs on a worker thread and returns a promise. */

export type AddressKind = 'world' | 'pod' | 'host' | 'remote-node';

/** A row of weft_addresses. */
export interface AddressRow {
  readonly table: 'addresses';
  /** "10.0.0.0/8" or "fd00::/64", host bits zero. */
  readonly prefix: string;
  readonly class: bigint;
  readonly kind: AddressKind;
}

/** A row of weft_policy. */
export interface PolicyRow {
  readonly table: 'policy';
  readonly set: bigint;
  readonly class: bigint;
  readonly direction: 'ingress' | 'egress';
  /** IP protocol number; 0 is any and has port 0, portBits 0. */
  readonly protocol: number;
  readonly port: number;
  /** Leading bits of port that count, 0 to 16. */
  readonly portBits: number;
  /** proxy: Envoy decides, behind the listener on proxyPort. */
  readonly verdict: 'allow' | 'deny' | 'proxy';
  /** Index into the set's rules; 65535 is none. */
  readonly rule: number;
  /** Exactly where the verdict is proxy: the port of Envoy's listener in the proxy's network namespace. */
  readonly proxyPort?: number;
}

/** A row of weft_pods; the loader keeps weft_pod_by_addr and weft_pod_by_dev in step with it. */
export interface PodRow {
  readonly table: 'pods';
  readonly slot: number;
  readonly ifindex: number;
  readonly set: bigint;
  readonly ipv4?: string;
  readonly ipv6?: string;
  /** Pods of one tenant share a budget of connections that are handed to Envoy; absent is tenant 0. */
  readonly tenant?: bigint;
  /** true or absent. It runs Envoy for this node: speaks with its clients' addresses, and only the kernel's redirect reaches it. */
  readonly proxy?: boolean;
}

/** The one row of weft_proxy: the pod to whose Envoy new connections go. None: they are refused. */
export interface ProxyRow {
  readonly table: 'proxy';
  readonly slot: number;
}

/** A row of weft_services. address "" is any node's (node ports). */
export interface ServiceRow {
  readonly table: 'services';
  readonly address: string;
  readonly port: number;
  readonly protocol: number;
  readonly scope: 'internal' | 'external';
  readonly family: 4 | 6;
  /** Set id of the backends, 0n if count is 0. */
  readonly backends: bigint;
  readonly service: bigint;
  readonly count: number;
  readonly nodePort: boolean;
  readonly affinitySeconds: number;
  /** 0: random. Else the size (prime) of the set's Maglev table. */
  readonly maglevSize: number;
  /** Present where Envoy routes what pods send to it: the port of its listener in the proxy's network namespace. */
  readonly proxyPort?: number;
}

/** A whole backend set: weft_backends and, with maglevSize, its table in weft_maglev. Immutable. */
export interface BackendSetRow {
  readonly table: 'backends';
  readonly set: bigint;
  readonly backends: readonly { readonly address: string; readonly port: number }[];
  readonly maglevSize: number;
}

export type Row = AddressRow | PolicyRow | PodRow | ProxyRow | ServiceRow | BackendSetRow;
export type TableName = Row['table'];

/** One step of a change; steps run in order, rows within a step in order. Deleting what is absent is no error. A
 * deletion needs only a row's key fields. 'bump' raises the epoch of the pods in these slots (all: ~0). */
export type Step =
  | { readonly op: 'upsert'; readonly rows: readonly Row[] }
  | { readonly op: 'delete'; readonly rows: readonly Row[] }
  | { readonly op: 'bump'; readonly slots: readonly number[] };

/** A row that could not be written, or did not read back as written. */
export interface RowError {
  readonly step: number;
  readonly row: number;
  readonly message: string;
}

export interface OpenOptions {
  /** Directory on a bpffs; made with mode 0700. Maps and links are pinned in `<pinDir>/v<layout>/`. */
  readonly pinDir: string;
  /** A cgroup2 directory: the socket programs see the processes below it. */
  readonly cgroup: string;
  /** Device that carries traffic between nodes. */
  readonly underlay: string;
  readonly nodeIPv4?: string;
  readonly nodeIPv6?: string;
  /** Entries of each map; those left out have defaults. A pinned map with another size is replaced. */
  readonly budgets?: Readonly<Record<string, number>>;
}

/** A decoded event; addresses as text, IPv4 without prefix. */
export interface FlowEvent {
  /** Wall clock, ms since the epoch. */
  readonly time: number;
  readonly type: 'new' | 'drop' | 'revoked' | 'closed';
  /** Name of the reason in lower case with dashes, e.g. "policy-allowed", "default-deny". */
  readonly reason: string;
  readonly direction: 'ingress' | 'egress';
  readonly protocol: number;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  readonly service?: string;
  readonly servicePort?: number;
  readonly reply: boolean;
  readonly sourceSlot?: number;
  readonly destinationSlot?: number;
  readonly egressSet?: bigint;
  readonly egressRule?: number;
  readonly ingressSet?: bigint;
  readonly ingressRule?: number;
  readonly packets: number;
  readonly bytes: number;
}

/** A request that Envoy answered. Strings came from a client: at most 256 bytes each, the path 1 KiB, cut with an
 * ellipsis; "" is none. */
export interface RequestRecord {
  /** When it began: wall clock, ms since the epoch. */
  readonly time: number;
  /** Id of Envoy's listener, as in PolicyEntry.listener. */
  readonly listener: bigint;
  /** The route that it took: the name of the rule that allowed it, "denied", or "" where Envoy refused it before. */
  readonly route: string;
  readonly method: string;
  /** Never with a query or fragment. */
  readonly path: string;
  readonly authority: string;
  /** "HTTP/1.1", "HTTP/2" */
  readonly protocol: string;
  /** 0: there was no answer. */
  readonly status: number;
  /** Envoy's response flags, as "UF,URX". */
  readonly flags: string;
  /** Envoy's response code details, as "via_upstream". */
  readonly details: string;
  readonly durationMs: number;
  /** Bytes of the bodies. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly source: string;
  readonly sourcePort: number;
  /** What the client dialled. */
  readonly destination: string;
  readonly destinationPort: number;
  /** Where Envoy sent it. */
  readonly upstream?: string;
  readonly upstreamPort?: number;
  readonly userAgent: string;
}

/** Listens on a unix socket (mode 0660, of the group `group`) for access records, a line of JSON each, and calls back
 * with batches (at most one call per 50 ms, at most 4096 records each) until stopped, which removes the socket. lost
 * counts records since the last call that are not understood, that the sender dropped, or that were too many. Throws a
 * sentence if it can't listen. */
export declare function serveRecords(
  options: { readonly path: string; readonly group: number },
  callback: (batch: RequestRecord[], lost: number) => void,
): { stop(): void };

export interface MapUse {
  readonly name: string;
  readonly entries: number;
  readonly budget: number;
}

export declare class Datapath {
  private constructor();
  /** Loads the objects that ship with the package, reuses what is pinned (links are updated in place, so not one
   * packet passes unseen), attaches to underlay and cgroup. Rejects with a sentence that names the step. */
  static open(options: OpenOptions): Promise<Datapath>;
  /** True if maps pinned by an earlier process were taken over. */
  readonly adopted: boolean;
  /** Attaches both packet programs to the host side of a pod's veth and pins them. Idempotent. */
  attachPod(ifindex: number): Promise<void>;
  /** The same for a list; a long one has the kernel expedite its grace periods meanwhile. Rejects at the first device
   * that fails. */
  attachPods(ifindexes: readonly number[]): Promise<void>;
  /** Attaches the program that hands connections to Envoy's listeners, inside a proxy pod's network namespace (a path
   * as the runtime gives it) at its device `interfaceName`; `ifindex` is the host side's. Idempotent; later opens
   * update it in place where the kernel has tcx, elsewhere this has to be called again after an open. */
  attachProxy(ifindex: number, netns: string, interfaceName: string): Promise<void>;
  /** Removes the pinned links of a device that may be gone already. */
  detachPod(ifindex: number): Promise<void>;
  /** ifindexes with pinned links. */
  attachedPods(): Promise<number[]>;
  /** Runs the steps and reads each upserted row back. Never stops at an error: the rows that failed are returned. */
  apply(steps: readonly Step[]): Promise<RowError[]>;
  /** All rows of a table, sorted by key. */
  dump(table: TableName): Promise<Row[]>;
  /** The longest match, as the programs see it; undefined if there is none. */
  lookupAddress(address: string): Promise<AddressRow | undefined>;
  lookupPolicy(key: {
    set: bigint;
    class: bigint;
    direction: 'ingress' | 'egress';
    protocol: number;
    port: number;
  }): Promise<PolicyRow | undefined>;
  /** Calls back with batches (at most one call per 50 ms, at most 4096 events each) until stopped; lost counts
   * events that found the ring full since the last call. One subscriber. */
  events(callback: (batch: FlowEvent[], lost: number) => void): { stop(): void };
  /** Packets and bytes by reason since the maps were made. */
  metrics(): Promise<{ reason: string; packets: number; bytes: number }[]>;
  mapUse(): Promise<MapUse[]>;
  /** Closes descriptors; pins stay. */
  close(): void;
  /** Removes everything that open made below pinDir, and so detaches all programs. */
  static uninstall(pinDir: string): Promise<void>;
}

/** pid, uid and gid of the other end of a connected unix socket (SO_PEERCRED). */
/** Gives freed memory back to the system, and lets go of program code, which comes back as it is used. */
export declare function releaseMemory(): Promise<void>;
export declare function peerCredentials(fd: number): { pid: number; uid: number; gid: number };

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** "10.0.0.1/24" */
  readonly addresses: string[];
}
export declare function links(): Promise<Link[]>;

/** A route of this network namespace's main table that the agent owns: rtnetlink protocol number 77. (Those of single
 * pods, made by weft-cni, have 78 and are not seen here.) Neither via nor device: packets to it are dropped. */
export interface Route {
  /** "10.244.1.0/24" */
  readonly destination: string;
  readonly via?: string;
  readonly device?: string;
}
export declare function routes(): Promise<Route[]>;
export declare function replaceRoute(route: Route): Promise<void>;
/** Absent is no error. */
export declare function deleteRoute(route: Route): Promise<void>;
/** A permanent neighbour entry (absent device is an error). */
export declare function replaceNeighbour(entry: { device: string; address: string; mac: string }): Promise<void>;

/** Constants of the layout that the agent needs. */
export declare const constants: {
  readonly podMac: string;
  readonly hostMac: string;
  readonly masqueradeMark: number;
  readonly maxPods: number;
  /** Listeners in a proxy's network namespace have ports of this range, both ends included. */
  readonly proxyListenerPorts: readonly [number, number];
  /** Envoy's connections to servers come from this range, which no other pod may open connections from. */
  readonly proxySourcePorts: readonly [number, number];
};
