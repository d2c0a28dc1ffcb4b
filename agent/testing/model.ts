/** The kernel's tables as plain maps with the same look-ups, to judge plans without a kernel. */
import type {
  AddressRow,
  Datapath,
  FlowEvent,
  PodRow,
  PolicyRow,
  Row,
  RowError,
  Step,
  TableName,
} from 'bpf-loader-napi';
import { hostPrefix, prefixLength } from '../tables/address.ts';
import { longestMatch } from '../tables/lpm.ts';
import { INGRESS_ENFORCED, policyBits, rowKey } from '../tables/rows.ts';

export interface Probe {
  readonly slot: number;
  readonly peer: string;
  readonly direction: 'ingress' | 'egress';
  readonly protocol: number;
  readonly port: number;
}

export class ModelTables {
  readonly tables: Readonly<Record<TableName, Map<string, Row>>> = {
    addresses: new Map(),
    policy: new Map(),
    pods: new Map(),
    proxy: new Map(),
    services: new Map(),
    backends: new Map(),
  };
  readonly epochs = new Map<number, number>();
  readonly attached = new Set<number>();
  /** Called after each single write. */
  onWrite: () => void = () => {};
  /** Rows that can't be written, for tests of failures. */
  refuses: (row: Row) => boolean = () => false;

  write(steps: readonly Step[]): RowError[] {
    const errors: RowError[] = [];
    steps.forEach((step, at) => {
      if (step.op === 'bump') {
        for (const slot of step.slots) this.epochs.set(slot, (this.epochs.get(slot) ?? 0) + 1);
        return;
      }
      step.rows.forEach((row, index) => {
        if (step.op === 'delete') this.tables[row.table].delete(rowKey(row));
        else if (this.refuses(row)) errors.push({ step: at, row: index, message: 'No space left on device' });
        else this.tables[row.table].set(rowKey(row), row);
        this.onWrite();
      });
    });
    return errors;
  }

  rows(table: TableName): Row[] {
    return [...this.tables[table].values()].sort((a, b) => (rowKey(a) < rowKey(b) ? -1 : 1));
  }

  address(address: string): AddressRow | undefined {
    const prefix = hostPrefix(address);
    if (prefix === undefined) return undefined;
    const lengths = new Set([...this.tables.addresses.keys()].map(prefixLength));
    const row = longestMatch(prefix, lengths, (key) => this.tables.addresses.get(key));
    return row?.table === 'addresses' ? row : undefined;
  }

  policy(key: Pick<PolicyRow, 'set' | 'class' | 'direction' | 'protocol' | 'port'>): PolicyRow | undefined {
    let best: PolicyRow | undefined;
    for (const row of this.tables.policy.values()) {
      if (row.table !== 'policy' || row.set !== key.set || row.class !== key.class) continue;
      if (row.direction !== key.direction || !covers(row, key)) continue;
      if (best === undefined || policyBits(row) > policyBits(best)) best = row;
    }
    return best;
  }

  /** Undefined: the slot has no pod. */
  verdict(probe: Probe): PolicyRow['verdict'] | undefined {
    return this.verdictOf(this.address(probe.peer)?.class ?? 0n, probe);
  }

  /** The same for a peer whose class is known. */
  verdictOf(
    peerClass: bigint,
    { slot, direction, protocol, port }: Omit<Probe, 'peer'>,
  ): PolicyRow['verdict'] | undefined {
    const pod = this.tables.pods.get(`${slot}`);
    if (pod?.table !== 'pods') return undefined;
    const entry = this.policy({ set: pod.set, class: peerClass, direction, protocol, port });
    if (entry) return entry.verdict;
    const bit = direction === 'ingress' ? INGRESS_ENFORCED : INGRESS_ENFORCED << 1n;
    return (pod.set & bit) === 0n ? 'allow' : 'deny';
  }

  pods(): PodRow[] {
    return this.rows('pods').flatMap((row) => (row.table === 'pods' ? [row] : []));
  }
}

function covers(row: PolicyRow, key: { protocol: number; port: number }): boolean {
  if (row.protocol === 0) return true;
  const shift = 16 - row.portBits;
  return row.protocol === key.protocol && row.port >> shift === key.port >> shift;
}

/** The addon's Datapath, on a model. */
export function modelDatapath(model: ModelTables): Pick<Datapath, keyof Datapath> {
  return {
    adopted: false,
    attachPod: async (ifindex) => void model.attached.add(ifindex),
    attachPods: async (ifindexes) => {
      for (const ifindex of ifindexes) model.attached.add(ifindex);
    },
    attachProxy: async (ifindex) => void model.attached.add(ifindex),
    detachPod: async (ifindex) => void model.attached.delete(ifindex),
    attachedPods: async () => [...model.attached],
    apply: async (steps) => model.write(steps),
    dump: async (table) => model.rows(table),
    lookupAddress: async (address) => model.address(address),
    lookupPolicy: async (key) => model.policy(key),
    events: (_callback: (batch: FlowEvent[], lost: number) => void) => ({ stop() {} }),
    metrics: async () => [],
    mapUse: async () => [],
    close() {},
  };
}
