/** Puts the agent's parts together; every change of the node's state passes through one queue. */
import { existsSync, mkdirSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { join } from 'node:path';
import type { NodeCondition } from '@weft/node-api';
import type { ClientBatch } from '@weft/xds';
import * as addon from 'bpf-loader-napi';
import { installCni } from './cni/install.ts';
import { serveCni } from './cni/server.ts';
import { NodeEnvoy } from './envoy/envoy.ts';
import { ListenerPorts } from './envoy/ports.ts';
import type { Flags } from './flags.ts';
import { FlowLog } from './flows/log.ts';
import { serveRequests } from './flows/serve.ts';
import { findCgroup, findUnderlay, OVERHEAD } from './host/detect.ts';
import { applyMasquerade } from './host/masquerade.ts';
import { routesOf, syncRoutes } from './host/routes.ts';
import { applySysctls } from './host/sysctl.ts';
import { messageOf } from './lib/errors.ts';
import type { Log } from './lib/log.ts';
import { releaseMemorySoon } from './lib/memory.ts';
import { Serial } from './lib/serial.ts';
import { ENVOY_GROUP } from './lib/unix-socket.ts';
import { ReportState } from './operator/report-state.ts';
import { Pods } from './pods/pods.ts';
import { Registry } from './pods/registry.ts';
import { checkResource } from './state/check.ts';
import { Journal } from './state/journal.ts';
import { nodesOf, type OwnNode, ownNode } from './state/nodes.ts';
import { ResourceStore } from './state/store.ts';
import { NodeTables, type Outcome } from './state/tables.ts';
import type { Drift } from './tables/diff.ts';

export const VERSION = '0.1.0';
const RETRY_MS = 2_000;
/** Resources in one batch that are worth a collection afterwards. */
const LARGE_BATCH = 1_000;
/** Services of adopted tables are compared once the agent is ready: that takes a while where there are many. */
const ADOPTED_REPAIR_MS = 1_000;

/** What there is once the datapath is open. */
interface Running {
  readonly datapath: addon.Datapath;
  readonly tables: NodeTables;
  readonly pods: Pods;
  readonly envoy: NodeEnvoy;
  readonly underlay: string;
  readonly events: { stop(): void };
}

export class Agent {
  readonly reports = new ReportState(VERSION);
  readonly store = new ResourceStore();
  readonly flows: FlowLog;
  readonly registry: Registry;
  lastRepair: { readonly time: string; readonly drift: readonly Drift[] } | undefined;
  readonly #flags: Flags;
  readonly #log: Log;
  readonly #serial = new Serial();
  readonly #journal: Journal;
  readonly #ports: ListenerPorts;
  /** The agent does not know which ports Envoy's listeners had. */
  readonly #portsForgotten: boolean;
  readonly #problems = new Map<string, string>();
  #complete: boolean;
  #running: Running | undefined;
  #cni: Server | undefined;
  #records: { stop(): void } | undefined;
  #timers: NodeJS.Timeout[] = [];
  #stopped = false;
  #retrying = false;

  constructor(flags: Flags, log: Log) {
    this.#flags = flags;
    this.#log = log;
    mkdirSync(flags.runDir, { recursive: true, mode: 0o700 });
    const { journal, complete } = Journal.open(join(flags.runDir, 'state.bin'), this.store);
    this.#journal = journal;
    this.#complete = complete;
    this.registry = new Registry(join(flags.runDir, 'endpoints.json'), addon.constants.maxPods);
    const damage = this.registry.load();
    if (damage !== undefined) log(damage);
    this.#ports = new ListenerPorts(join(flags.runDir, 'envoy-ports.json'), addon.constants.proxyListenerPorts);
    const ports = this.#ports.load();
    this.#portsForgotten = ports !== 'loaded';
    if (ports === 'damaged') log(`${flags.runDir}/envoy-ports.json is damaged: Envoy's listeners get other ports`);
    this.flows = new FlowLog(
      flags.nodeName,
      (slot) => this.#podOfSlot(slot),
      () => this.#running?.tables.pods ?? [],
    );
  }

  get running(): Running | undefined {
    return this.#running;
  }

  /** Why pods can't be given a network; undefined: they can. */
  unready(): string | undefined {
    if (!this.#complete) return 'the agent waits for its first state from the operator';
    if (this.#running === undefined) return this.#problems.get('Datapath') ?? 'the agent is starting';
    return undefined;
  }

  async start(): Promise<void> {
    this.#cni = await serveCni({
      path: join(this.#flags.runDir, 'cni.sock'),
      unready: () => this.unready(),
      pods: () => this.#running?.pods,
      uidOf: (socket) => addon.peerCredentials(descriptorOf(socket)).uid,
      onError: (request, error) => this.#log('cni request failed', { ...request, error: error.message }),
    });
    try {
      this.#records = serveRequests(this.#flags.envoyDir, this.flows);
    } catch (error) {
      this.#problem('Requests', `flows of requests are missing: ${messageOf(error)}`);
    }
    if (this.#complete) await this.#serial.run(() => this.#open());
    const every = (ms: number, task: () => Promise<void>) => {
      const run = () => void this.#serial.run(task).catch((error) => this.#log('failed', { error: messageOf(error) }));
      this.#timers.push(setInterval(run, ms));
    };
    every(RETRY_MS, () => this.#open());
    every(RETRY_MS, () => this.#startEnvoy(this.#running?.envoy));
    every(30_000, () => this.#watchBudgets());
    if (this.#flags.repairMinutes > 0) every(this.#flags.repairMinutes * 60_000, () => this.#repair());
  }

  /** Everything stays pinned and works on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#cni?.close();
    this.#records?.stop();
    await this.#serial.run(async () => {
      this.#running?.envoy.stop();
      this.#running?.events.stop();
      this.#running?.datapath.close();
      this.#journal.close();
    });
  }

  /** Takes one batch of the operator; what a resource is wrong in goes into the reports. Throws if the disk is full. */
  onBatch(batch: ClientBatch): Promise<void> {
    return this.#serial.run(async () => {
      if (this.#stopped) throw new Error('the agent is stopping');
      const names = [...batch.upserts.map(({ name }) => name), ...batch.deletes];
      const outcomes = await this.#take(batch);
      this.#complete = true;
      this.flows.rules(names, this.store);
      if (!this.#running) {
        this.reports.record(outcomes.filter(({ error }) => error !== undefined));
        await this.#open();
        return;
      }
      if (names.length > LARGE_BATCH) releaseMemorySoon();
      this.reports.record(outcomes);
      this.reports.setSynced(true);
      this.#running.pods.changed();
      this.#running.envoy.changed();
      if (names.some((name) => name.startsWith('node/'))) await this.#syncRoutes();
    });
  }

  /** A batch that can't be kept on disk is not applied: the stream ends with an error and brings it again. */
  async #take(batch: ClientBatch): Promise<Outcome[]> {
    try {
      const outcomes = this.#running
        ? await this.#running.tables.applyBatch(batch.upserts, batch.deletes)
        : this.#remember(batch);
      this.#problem('State', undefined);
      return outcomes;
    } catch (error) {
      this.#problem('State', `what the operator says is not applied: ${messageOf(error)}`);
      throw error;
    }
  }

  /** Without a datapath: it needs the node's addresses, which come with the first batch. */
  #remember({ upserts, deletes }: ClientBatch): Outcome[] {
    const errors: Outcome[] = [];
    const good = upserts.filter((upsert) => {
      try {
        checkResource(upsert, this.#flags.nodeName);
        return true;
      } catch (error) {
        errors.push({ name: upsert.name, version: undefined, error: messageOf(error) });
        return false;
      }
    });
    this.#journal.append(good, deletes, this.store);
    for (const name of deletes) this.store.delete(name);
    for (const upsert of good) this.store.set(upsert);
    return errors;
  }

  async #open(): Promise<void> {
    if (this.#running || !this.#complete || this.#stopped) return;
    try {
      const own = ownNode(this.store, this.#flags.nodeName);
      if (own === undefined) throw new Error(`the operator knows no Node ${this.#flags.nodeName} (yet)`);
      await this.#openDatapath(own);
      this.#problem('Datapath', undefined);
    } catch (error) {
      if (this.#problems.get('Datapath') !== messageOf(error)) this.#log('not ready', { error: messageOf(error) });
      this.#problem('Datapath', messageOf(error));
    }
  }

  async #openDatapath(own: OwnNode): Promise<void> {
    const flags = this.#flags;
    const links = await addon.links();
    const underlay = findUnderlay(links, own.addresses, flags.underlay);
    const datapath = await addon.Datapath.open({
      pinDir: flags.pinDir,
      cgroup: flags.cgroup || findCgroup(),
      underlay: underlay.name,
      ...(own.ipv4 === undefined ? {} : { nodeIPv4: own.ipv4 }),
      ...(own.ipv6 === undefined ? {} : { nodeIPv6: own.ipv6 }),
    });
    try {
      await this.#avoidPorts(datapath);
      const envoy = this.#envoy(() => tables);
      const tables = new NodeTables({
        node: flags.nodeName,
        store: this.store,
        journal: this.#journal,
        datapath,
        listeners: envoy,
        onTemporarySet: (temporary, set) => this.flows.ruleTables.alias(temporary, set),
      });
      const pods = new Pods({
        registry: this.registry,
        tables,
        datapath,
        podCidrs: () => ownNode(this.store, flags.nodeName)?.podCidrs ?? [],
        mtu: flags.mtu || underlay.mtu - OVERHEAD,
        exclusive: (task) => this.#serial.run(task),
        onAdded: () => {
          envoy.changed();
          releaseMemorySoon();
        },
        onRemoved: (pod) => {
          envoy.changed();
          this.flows.left(pod.slot);
        },
      });
      this.flows.rules(this.store.names('policyset/'), this.store);
      const drift = await tables.start(this.registry.all(), datapath.adopted);
      await pods.removeStale(links);
      this.#problem('Proxy', (await pods.attachProxies()).join('; ') || undefined);
      await this.#startEnvoy(envoy);
      if (datapath.adopted && drift.length > 0) this.#log('repaired the kernel', { drift });
      this.lastRepair = { time: new Date().toISOString(), drift };
      const events = datapath.events((batch, lost) => this.flows.push(batch, lost));
      this.#running = { datapath, tables, pods, envoy, underlay: underlay.name, events };
    } catch (error) {
      datapath.close();
      throw error;
    }
    await this.#prepareHost(underlay.name);
    this.#reportAll();
    releaseMemorySoon();
    if (datapath.adopted)
      this.#timers.push(
        setTimeout(
          () =>
            void this.#serial
              .run(() => this.#repair())
              .catch((error) => this.#log('failed', { error: messageOf(error) })),
          ADOPTED_REPAIR_MS,
        ),
      );
  }

  /** Ports that the kernel's rows name mean rules that nobody remembers. */
  async #avoidPorts(datapath: addon.Datapath): Promise<void> {
    if (!this.#portsForgotten || !datapath.adopted) return;
    const rows = await datapath.dump('policy');
    const ports = rows.flatMap((row) => (row.table === 'policy' && row.proxyPort !== undefined ? [row.proxyPort] : []));
    this.#ports.avoid(ports, Date.now());
  }

  #envoy(tables: () => NodeTables): NodeEnvoy {
    const { envoyDir, nodeName } = this.#flags;
    return new NodeEnvoy({
      dir: envoyDir,
      group: ENVOY_GROUP,
      store: this.store,
      ports: this.#ports,
      proxies: () => this.registry.all().filter(({ slot }) => tables().podAt(slot)?.row.proxy === true),
      ipv6: () => ownNode(this.store, nodeName)?.podCidrs.some((cidr) => cidr.includes(':')) ?? false,
      current: () => tables().proxy,
      point: (slot) => tables().setProxy(slot),
      onOutcomes: (outcomes) => this.reports.record(outcomes),
      onProblem: (problem) => this.#problem('Envoy', problem),
      onProgress: () => this.#retryHeld(),
      log: this.#log,
    });
  }

  /** Pods have their network, and policies of layer 4 hold, whether or not Envoy can be served. */
  async #startEnvoy(envoy: NodeEnvoy | undefined): Promise<void> {
    if (envoy === undefined || envoy.started || this.#stopped) return;
    await envoy.start().then(
      () => this.#problem('EnvoySockets', undefined),
      (error) => this.#problem('EnvoySockets', messageOf(error)),
    );
  }

  /** Envoy has said something new: it may now take what sets were held back for. */
  #retryHeld(): void {
    if (!this.#running?.tables.holdsBack || this.#retrying || this.#stopped) return;
    this.#retrying = true;
    const retry = async (): Promise<void> => {
      this.#retrying = false;
      if (!this.#running?.tables.holdsBack || this.#stopped) return;
      this.reports.record(await this.#running.tables.applyBatch([], []));
      this.#running.pods.changed();
    };
    void this.#serial.run(retry).catch((error) => this.#log('failed', { error: messageOf(error) }));
  }

  async #prepareHost(underlay: string): Promise<void> {
    this.#problem('Sysctls', applySysctls(underlay).join('; ') || undefined);
    const masquerade = applyMasquerade(addon.constants.masqueradeMark);
    await masquerade.then(
      () => this.#problem('Masquerade', undefined),
      (error) => this.#problem('Masquerade', messageOf(error)),
    );
    await this.#syncRoutes();
    try {
      const { cniBinary, cniBinDir, cniConfDir, runDir } = this.#flags;
      const install = { binary: cniBinary, binDir: cniBinDir, confDir: cniConfDir, socket: join(runDir, 'cni.sock') };
      if (existsSync(cniBinary)) installCni(install);
      this.#problem('CNI', existsSync(cniBinary) ? undefined : `${cniBinary} is missing: name it with --cni-binary`);
    } catch (error) {
      this.#problem('CNI', messageOf(error));
    }
  }

  /** Versions of all that the kernel holds, after a start or a repair. */
  #reportAll(): void {
    const broken = this.#running?.tables.brokenSets() ?? new Map<bigint, string>();
    const names = [...this.store.names('policyset/'), ...this.store.names('endpoint/')];
    this.reports.record(
      names.map((name) => {
        const set = name.startsWith('policyset/') ? BigInt(`0x${name.slice('policyset/'.length)}`) : 0n;
        return { name, version: this.store.get(name)?.version, error: broken.get(set) };
      }),
    );
    this.reports.setSynced(true);
    this.#running?.pods.changed();
  }

  async #syncRoutes(): Promise<void> {
    const wanted = routesOf(nodesOf(this.store), this.#flags.nodeName);
    const problems = await syncRoutes(addon, wanted).catch((error: unknown) => [messageOf(error)]);
    this.#problem('Routes', problems.join('; ') || undefined);
  }

  async #repair(): Promise<void> {
    if (!this.#running) return;
    const drift = await this.#running.tables.repair();
    this.lastRepair = { time: new Date().toISOString(), drift };
    if (drift.length > 0) this.#log('repaired the kernel', { drift });
    await this.#running.pods.removeStale(await addon.links());
    await this.#prepareHost(this.#running.underlay);
    this.#reportAll();
    releaseMemorySoon();
  }

  async #watchBudgets(): Promise<void> {
    const use = (await this.#running?.datapath.mapUse()) ?? [];
    // LRU maps are meant to be full.
    const lru = /conntrack|nat|frags|affinity|sk_reverse|events/;
    const full = use.filter(({ name, entries, budget }) => !lru.test(name) && entries > 0.8 * budget);
    const text = full.map(({ name, entries, budget }) => `${name} holds ${entries} of at most ${budget} entries`);
    this.#problem('MapBudget', text.join('; ') || undefined);
    releaseMemorySoon();
  }

  #problem(type: string, message: string | undefined): void {
    if (message === undefined) this.#problems.delete(type);
    else this.#problems.set(type, message);
    const conditions = [...this.#problems].map(
      ([kind, text]): NodeCondition => ({ type: `${kind}Problem`, status: true, reason: kind, message: text }),
    );
    this.reports.setConditions(conditions);
  }

  #podOfSlot(slot: number) {
    const pod = this.#running?.tables.podAt(slot)?.pod;
    if (pod === undefined) return undefined;
    const { namespace, name, uid } = pod;
    return { namespace, name, uid, labels: this.#running?.tables.endpoint(uid)?.labels ?? {} };
  }
}

/** Node offers a socket's descriptor on its handle only. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  if (typeof fd !== 'number' || fd < 0) throw new Error('the socket has no descriptor');
  return fd;
}
