/** The only writer of the kernel's tables: turns what the operator says, and which pods are here, into rows. */
import type { Endpoint } from '@weft/node-api';
import type { AddressRow, Datapath, PodRow, PolicyRow } from 'bpf-loader-napi';
import { messageOf } from '../lib/errors.ts';
import { prefixLength } from '../tables/address.ts';
import { addressRow } from '../tables/address-rows.ts';
import type { AddressChange, Change, PodChange, SetChange } from '../tables/change.ts';
import type { Drift, Tables } from '../tables/diff.ts';
import { longestMatch } from '../tables/lpm.ts';
import { planChange } from '../tables/plan.ts';
import { policyRows, setName, setOfName } from '../tables/policy-rows.ts';
import { decodeResource } from '../tables/resource.ts';
import { QUARANTINE_SET, rowKey, sameRow } from '../tables/rows.ts';
import { checkResource } from './check.ts';
import { type Failure, failures } from './failure.ts';
import type { Journal } from './journal.ts';
import { ListenerGate, type ListenerHost, NO_LISTENERS } from './listeners.ts';
import { type LocalPod, podAddressRow, podPrefixes, podRow } from './pod.ts';
import { dump, repairProxy, repairTables } from './repair.ts';
import { type NamedChange, ServiceTables } from './services.ts';
import type { ResourceStore, Upsert } from './store.ts';

export interface NodeTablesOptions {
  readonly node: string;
  readonly store: ResourceStore;
  readonly journal: Journal;
  readonly datapath: Pick<Datapath, 'apply' | 'dump'>;
  /** Left out: rows that send connections to Envoy can't be made. */
  readonly listeners?: ListenerHost;
  /** Told of temporary sets, so that rules in events can be named. */
  readonly onTemporarySet?: (temporary: bigint, set: bigint) => void;
}

/** What became of resources: the newest version in the kernel (undefined: gone), or why not. */
export interface Outcome {
  readonly name: string;
  readonly version: string | undefined;
  readonly error: string | undefined;
}

export class NodeTables {
  readonly #options: NodeTablesOptions;
  readonly #services: ServiceTables;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #pods = new Map<number, { readonly pod: LocalPod; readonly row: PodRow }>();
  readonly #podByPrefix = new Map<string, LocalPod>();
  readonly #addresses = new Map<string, AddressRow>();
  readonly #lengths = new Set<number>();
  /** Sets that the kernel did not take as they are. */
  readonly #broken = new Map<bigint, string>();
  readonly #gate: ListenerGate;
  /** Slot of the pod whose Envoy gets new connections. */
  #proxy: number | undefined;

  constructor(options: NodeTablesOptions) {
    this.#options = options;
    this.#gate = new ListenerGate(options.listeners ?? NO_LISTENERS, options.store, options.journal);
    this.#services = new ServiceTables(options.node, (listener) => this.#gate.portOf(listener));
  }

  get pods(): LocalPod[] {
    return [...this.#pods.values()].map(({ pod }) => pod);
  }

  podAt(slot: number): { readonly pod: LocalPod; readonly row: PodRow } | undefined {
    return this.#pods.get(slot);
  }

  endpoint(uid: string): Endpoint | undefined {
    return this.#endpoints.get(uid);
  }

  endpoints(): Iterable<Endpoint> {
    return this.#endpoints.values();
  }

  /** Whether a pod with this endpoint can be given a network: its policy set is in the kernel, or it needs none. */
  enforceable(endpoint: Endpoint): boolean {
    return endpoint.proxy || endpoint.policySet === 0n || this.#usable(endpoint.policySet);
  }

  /** Slot of the pod whose Envoy gets new connections; undefined: they are refused. */
  get proxy(): number | undefined {
    return this.#proxy;
  }

  /** Sets wait for Envoy to take their listeners. */
  get holdsBack(): boolean {
    return this.#gate.holdsBack;
  }

  /** Sends new connections to another pod's Envoy; may be called at any time. @throws Error if the kernel refuses */
  async setProxy(slot: number): Promise<void> {
    const before = this.#proxy;
    this.#proxy = slot;
    const [error] = await this.#options.datapath.apply([{ op: 'upsert', rows: [{ table: 'proxy', slot }] }]);
    if (error === undefined) return;
    if (this.#proxy === slot) this.#proxy = before;
    throw new Error(error.message);
  }

  /**
   * Takes over stored resources and pods of an earlier life, and repairs what decides verdicts. The Services of adopted
   * tables work as they are and are left to the next `repair`.
   */
  async start(pods: readonly LocalPod[], adopted: boolean): Promise<readonly Drift[]> {
    for (const { name, bytes } of this.#options.store.all()) {
      if (name.startsWith('endpoint/')) this.#rememberEndpoint(name, bytes);
      if (name.startsWith('address/')) this.#rememberAddress(this.#operatorAddress(name));
    }
    this.#gate.start();
    for (const pod of pods) {
      this.#pods.set(pod.slot, { pod, row: this.#rowOf(pod) });
      for (const prefix of podPrefixes(pod)) {
        this.#podByPrefix.set(prefix, pod);
        this.#rememberAddress(this.#addressOf(prefix));
      }
    }
    const services = this.#options.store.names('service/');
    await this.#adoptProxy();
    const { errors, drift: verdicts } = await repairTables(this.#options.datapath, this.#wantedVerdicts(), false);
    this.#markBroken(errors);
    await this.#quarantineBroken();
    const drift = [...verdicts, ...(await this.#repairProxy())];
    if (adopted) {
      for (const name of services) {
        const bytes = this.#options.store.get(name)?.bytes;
        if (bytes) this.#services.adopt(name, bytes);
      }
      return drift;
    }
    await this.#applyServices(
      services.map((name) => ({ name, before: undefined, after: this.#options.store.get(name)?.bytes })),
    );
    return drift;
  }

  /** Compares the kernel with what it should hold and writes the difference. */
  async repair(): Promise<readonly Drift[]> {
    this.#broken.clear();
    for (const { pod } of this.#pods.values()) this.#pods.set(pod.slot, { pod, row: this.#rowOf(pod) });
    const wanted = { ...this.#wantedVerdicts(), ...this.#wantedServices() };
    const { errors, drift } = await repairTables(this.#options.datapath, wanted, true);
    this.#markBroken(errors);
    await this.#quarantineBroken();
    return [...drift, ...(await this.#repairProxy())];
  }

  /**
   * Applies one batch of the operator as a whole. A bad resource keeps its last good state and is reported. What Envoy
   * needs comes first: no row points at a listener that is not there, as long as waiting for it helps.
   */
  async applyBatch(upserts: readonly Upsert[], deletes: readonly string[]): Promise<Outcome[]> {
    const { store, journal } = this.#options;
    const errors = new Map<string, string>();
    const again = this.#gate.again(new Set([...upserts.map(({ name }) => name), ...deletes]));
    const sound = this.#check([...again, ...upserts], errors);
    const { good, offered } = await this.#gate.offer(sound, errors);
    const names = new Set([...good.map(({ name }) => name), ...deletes]);
    const before = new Map([...names].map((name) => [name, store.get(name)?.bytes]));
    journal.append(good, deletes, store);
    for (const name of deletes) store.delete(name);
    for (const upsert of good) store.set(upsert);
    const changes = [...names].map((name) => ({ name, before: before.get(name), after: store.get(name)?.bytes }));

    for (const [name, error] of await this.#applyVerdicts(changes)) errors.set(name, error);
    const services = changes.filter(({ name }) => name.startsWith('service/'));
    for (const { name } of services) this.#gate.note(name);
    for (const [name, error] of await this.#applyServices(services)) errors.set(name, error);
    this.#gate.settle({ good, offered, deletes }, errors);
    return [...new Set([...offered, ...names, ...errors.keys()])].map((name) => ({
      name,
      version: store.get(name)?.version,
      error: errors.get(name),
    }));
  }

  #check(upserts: readonly Upsert[], errors: Map<string, string>): Upsert[] {
    return upserts.filter((upsert) => {
      try {
        checkResource(upsert, this.#options.node);
        return true;
      } catch (error) {
        errors.set(upsert.name, messageOf(error));
        return false;
      }
    });
  }

  /** Gives a pod its rows. @throws Error if the kernel does not take one */
  async addPod(pod: LocalPod): Promise<void> {
    const addresses = podPrefixes(pod);
    const before = this.#pods.get(pod.slot);
    this.#pods.set(pod.slot, { pod, row: this.#rowOf(pod) });
    for (const prefix of addresses) this.#podByPrefix.set(prefix, pod);
    const errors = await this.#applyChange([], addresses, before ? [[pod.slot, before.row]] : [[pod.slot, undefined]]);
    const [error] = errors.values();
    if (error !== undefined) throw new Error(`the kernel refused a row of the pod: ${error}`);
  }

  async removePod(slot: number): Promise<void> {
    const old = this.#pods.get(slot);
    if (old === undefined) return;
    this.#pods.delete(slot);
    if (this.#proxy === slot) {
      this.#proxy = undefined;
      await this.#options.datapath.apply([{ op: 'delete', rows: [{ table: 'proxy', slot }] }]);
    }
    for (const prefix of podPrefixes(old.pod)) this.#podByPrefix.delete(prefix);
    await this.#applyChange([], podPrefixes(old.pod), [[slot, old.row]]);
  }

  /** Sets held and what they are worth, for status. */
  brokenSets(): ReadonlyMap<bigint, string> {
    return this.#broken;
  }

  async #applyVerdicts(changes: readonly NamedChange[]): Promise<Map<string, string>> {
    const sets: SetChange[] = [];
    const prefixes = new Set<string>();
    const uids = new Set<string>();
    for (const { name, before, after } of changes) {
      const set = setOfName(name);
      if (set !== undefined) {
        sets.push({ set, before: this.#rowsOfSet(name, before), after: this.#rowsOfSet(name, after) });
        this.#broken.delete(set);
        this.#gate.note(name);
      }
      if (name.startsWith('address/')) prefixes.add(name.slice('address/'.length));
      if (name.startsWith('endpoint/')) uids.add(this.#rememberEndpoint(name, after));
    }
    if (sets.length === 0 && prefixes.size === 0 && uids.size === 0) return new Map();
    const rows = [...this.#pods].map(([slot, { row }]): [number, PodRow] => [slot, row]);
    for (const { pod } of this.#pods.values()) {
      this.#pods.set(pod.slot, { pod, row: this.#rowOf(pod) });
      if (uids.has(pod.uid)) for (const prefix of podPrefixes(pod)) prefixes.add(prefix);
    }
    return this.#applyChange(sets, [...prefixes], rows);
  }

  async #applyServices(changes: readonly NamedChange[]): Promise<Map<string, string>> {
    return changes.length === 0 ? new Map() : this.#services.apply(this.#options.datapath, changes);
  }

  /** @param podsBefore rows of the pods that may have changed, as they were */
  async #applyChange(
    sets: readonly SetChange[],
    prefixes: readonly string[],
    podsBefore: readonly (readonly [number, PodRow | undefined])[],
  ): Promise<Map<string, string>> {
    const touched = new Map(podsBefore);
    const all = new Map([...this.#pods].map(([slot, { row }]) => [slot, row]));
    for (const [slot, row] of touched) {
      if (row === undefined) all.delete(slot);
      else all.set(slot, row);
    }
    const addresses = prefixes.flatMap((prefix): AddressChange[] => {
      const before = this.#addresses.get(prefix);
      const after = this.#addressOf(prefix);
      if (before === undefined ? after === undefined : after && sameRow(before, after)) return [];
      return [{ prefix, before, after }];
    });
    const old = new Map(addresses.map(({ prefix, before }) => [prefix, before]));
    for (const { prefix, after } of addresses) this.#rememberAddress(after, prefix);
    const changedSets = new Set(sets.map(({ set }) => set));
    const change: Change = {
      sets,
      addresses,
      pods: [...touched].flatMap(([slot, before]): PodChange[] => {
        const after = this.#pods.get(slot)?.row;
        return before && after && sameRow(before, after) ? [] : [{ slot, before, after }];
      }),
      podsBefore: [...all.values()],
      matchBefore: (prefix) =>
        longestMatch(prefix, this.#lengths, (key) => (old.has(key) ? old.get(key) : this.#addresses.get(key))),
      matchAfter: (prefix) => longestMatch(prefix, this.#lengths, (key) => this.#addresses.get(key)),
      otherSets: () => this.#heldSets(changedSets),
    };
    return this.#execute(change);
  }

  async #execute(change: Change): Promise<Map<string, string>> {
    const plan = planChange(change);
    for (const [temporary, set] of plan.temporary) this.#options.onTemporarySet?.(temporary, set);
    const errors: Failure[] = [];
    for (const steps of [plan.make, plan.change]) {
      if (steps.length === 0) continue;
      errors.push(...failures(steps, await this.#options.datapath.apply(steps)));
    }
    const named = this.#markBroken(errors, plan.temporary);
    await this.#quarantineBroken();
    return named;
  }

  /** Notes sets that failed. @returns errors by resource name */
  #markBroken(errors: readonly Failure[], temporary: ReadonlyMap<bigint, bigint> = new Map()): Map<string, string> {
    const named = new Map<string, string>();
    for (const { row, message } of errors) {
      if (row.table === 'policy') {
        const set = temporary.get(row.set) ?? row.set;
        this.#broken.set(set, message);
        named.set(setName(set), message);
      } else if (row.table === 'addresses') named.set(`address/${row.prefix}`, message);
      else if (row.table === 'pods') named.set(`endpoint/${this.#pods.get(row.slot)?.pod.uid ?? ''}`, message);
      else named.set(`${row.table}/${rowKey(row)}`, message);
    }
    return named;
  }

  async #quarantineBroken(): Promise<void> {
    if (this.#broken.size === 0) return;
    const rows = [...this.#pods.values()].flatMap(({ pod, row }) => (this.#broken.has(row.set) ? [{ pod, row }] : []));
    if (rows.length === 0) return;
    const quarantined = rows.map(({ row }): PodRow => ({ ...row, set: QUARANTINE_SET }));
    rows.forEach(({ pod }, i) => {
      const row = quarantined[i];
      if (row) this.#pods.set(pod.slot, { pod, row });
    });
    await this.#options.datapath.apply([
      { op: 'upsert', rows: quarantined },
      { op: 'bump', slots: quarantined.map(({ slot }) => slot) },
    ]);
  }

  #wantedVerdicts(): Tables {
    return {
      addresses: [...this.#addresses.values()],
      policy: [...this.#heldSets(new Set())].flatMap(({ rows }) => rows),
      pods: [...this.#pods.values()].map(({ row }) => row),
      services: [],
      backends: [],
    };
  }

  #wantedServices(): Pick<Tables, 'services' | 'backends'> {
    const { store } = this.#options;
    const all = store.names('service/').map((name) => this.#services.rows(name, store.get(name)?.bytes));
    const backends = new Map(all.flatMap((rows) => rows.backends.map((set) => [set.set, set])));
    return { services: all.flatMap(({ frontends }) => frontends), backends: [...backends.values()] };
  }

  *#heldSets(except: ReadonlySet<bigint>): Generator<{ set: bigint; rows: PolicyRow[] }> {
    for (const name of this.#options.store.names('policyset/')) {
      const set = setOfName(name);
      if (set === undefined || except.has(set)) continue;
      yield { set, rows: this.#rowsOfSet(name, this.#options.store.get(name)?.bytes) };
    }
  }

  #usable(set: bigint): boolean {
    return !this.#broken.has(set) && this.#options.store.get(setName(set)) !== undefined;
  }

  #rowOf(pod: LocalPod): PodRow {
    return podRow(pod, this.#endpoints.get(pod.uid), (set) => this.#usable(set));
  }

  /** What should be in the kernel for a prefix: the operator's row, else the class that a local pod's endpoint has. */
  #addressOf(prefix: string): AddressRow | undefined {
    const operators = this.#operatorAddress(`address/${prefix}`);
    if (operators) return operators;
    const pod = this.#podByPrefix.get(prefix);
    const endpoint = pod && this.#endpoints.get(pod.uid);
    return endpoint && podAddressRow(prefix, endpoint);
  }

  #operatorAddress(name: string): AddressRow | undefined {
    const bytes = this.#options.store.get(name)?.bytes;
    const resource = bytes && decodeResource(name, bytes);
    return resource?.$case === 'address' ? addressRow(name, resource.value) : undefined;
  }

  #rememberAddress(row: AddressRow | undefined, prefix = row?.prefix): void {
    if (row) {
      this.#addresses.set(row.prefix, row);
      this.#lengths.add(prefixLength(row.prefix));
    } else if (prefix !== undefined) this.#addresses.delete(prefix);
  }

  /** @returns its uid */
  #rememberEndpoint(name: string, bytes: Uint8Array | undefined): string {
    const uid = name.slice('endpoint/'.length);
    const resource = bytes && decodeResource(name, bytes);
    if (resource?.$case === 'endpoint') this.#endpoints.set(uid, resource.value);
    else this.#endpoints.delete(uid);
    return uid;
  }

  #rowsOfSet(name: string, bytes: Uint8Array | undefined): PolicyRow[] {
    const resource = bytes && decodeResource(name, bytes);
    const portOf = (listener: bigint) => this.#gate.portOf(listener);
    return resource?.$case === 'policySet' ? policyRows(name, resource.value, portOf) : [];
  }

  /** Goes on with the proxy that the kernel points at, if that is one. */
  async #adoptProxy(): Promise<void> {
    const [row] = await dump(this.#options.datapath, 'proxy');
    if (row !== undefined && this.#pods.get(row.slot)?.pod.proxy !== undefined) this.#proxy = row.slot;
  }

  #repairProxy(): Promise<Drift[]> {
    return repairProxy(this.#options.datapath, () =>
      this.#proxy === undefined ? undefined : { table: 'proxy', slot: this.#proxy },
    );
  }
}
