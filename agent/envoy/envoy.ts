/** This node's Envoys: what they are told, which of them gets connections, and what there is to say about them. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { makeSocketDirectory } from '../lib/unix-socket.ts';
import type { ResourceStore } from '../state/store.ts';
import type { Outcome } from '../state/tables.ts';
import { EnvoyAds } from './ads.ts';
import { EnvoyConfig } from './config.ts';
import type { ListenerPorts } from './ports.ts';
import { awaitedProxy, chooseProxy, type ProxyView, retirable, whyNoEnvoy } from './proxies.ts';
import { listenerName, listenerOfName, PREFIX, wantsEnvoy } from './resources.ts';
import { type EnvoyStatus, statusOf } from './status.ts';
import { SupervisorServer } from './supervisor.ts';

/** The longest that rows wait for a listener, ms. */
const PATIENCE_MS = 2_000;
/** What is gone stays in Envoy this long: packets under way may still find it, ms. */
const QUIET_MS = 2_000;
/** Envoy is kept this long without a listener: an edit must not stop and start it, ms. */
const KEEP_MS = 30_000;
/** Time for supervisors to come back after the agent's start, ms. */
const SETTLE_MS = 5_000;
/** A start of Envoy is no problem; what takes longer is, ms. */
const PROBLEM_MS = 5_000;
/** Between two looks at what Envoys say, ms. */
const LOOK_MS = 5;
const MAX_REASON = 1_024;

/** A pod that runs Envoy, with its network. */
export interface ProxyPod {
  readonly slot: number;
  readonly uid: string;
  readonly name: string;
}

export interface NodeEnvoyOptions {
  readonly dir: string;
  readonly group: number;
  readonly store: ResourceStore;
  readonly ports: ListenerPorts;
  /** Oldest first. */
  readonly proxies: () => readonly ProxyPod[];
  /** Whether pods have IPv6. */
  readonly ipv6: () => boolean;
  /** The slot that the kernel sends new connections to. */
  readonly current: () => number | undefined;
  /** Changes it; what is written to the kernel later comes later. */
  readonly point: (slot: number) => Promise<void>;
  /** Told what Envoy says of resources, when it changes. */
  readonly onOutcomes: (outcomes: readonly Outcome[]) => void;
  readonly onProblem: (problem: string | undefined) => void;
  /** Told when an Envoy has said something new. */
  readonly onProgress: () => void;
  readonly log: Log;
  readonly keepMs?: number;
  readonly patienceMs?: number;
  readonly quietMs?: number;
}

export class NodeEnvoy {
  readonly #options: NodeEnvoyOptions;
  readonly #config: EnvoyConfig;
  readonly #ads: EnvoyAds;
  readonly #supervisors: SupervisorServer;
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Why Envoy refuses a resource, by the store's name. */
  #errors = new Map<string, string>();
  /** Names that the store holds no longer and that Envoy is to forget. */
  readonly #doomed = new Set<string>();
  #waiters = new Set<() => void>();
  /** The store holds listeners. */
  #wanted = false;
  /** What supervisors are told. */
  #run = false;
  #stopping: NodeJS.Timeout | undefined;
  #scheduled: NodeJS.Timeout | undefined;
  #startedAt = 0;
  #problemSince: number | undefined;
  #started = false;

  constructor(options: NodeEnvoyOptions) {
    this.#options = options;
    const { dir, group, store, ports, ipv6 } = options;
    const onProgress = (): void => this.#schedule();
    this.#config = new EnvoyConfig({ store, portOf: (id) => ports.portOf(id), ipv6 });
    this.#ads = new EnvoyAds({
      path: join(dir, 'xds.sock'),
      group,
      cache: this.#config.cache,
      isProxy: (uid) => options.proxies().some((pod) => pod.uid === uid),
      onProgress,
    });
    this.#supervisors = new SupervisorServer({
      path: join(dir, 'supervisor.sock'),
      group,
      run: () => this.#run,
      onChange: onProgress,
      log: options.log,
    });
  }

  get started(): boolean {
    return this.#started;
  }

  /**
   * To be called when the kernel holds what the store says: only then may Envoys be told to forget.
   *
   * @throws Error if a socket can't be made; may be called again
   */
  async start(): Promise<void> {
    const { dir, group, store } = this.#options;
    this.#startedAt = performance.now();
    this.#wanted = wantsEnvoy(store);
    this.#run = this.#wanted;
    makeSocketDirectory(dir, group);
    this.#config.start();
    this.#started = true;
    try {
      await this.#ads.start();
      await this.#supervisors.start();
    } catch (error) {
      this.stop();
      throw error;
    }
    this.#later(SETTLE_MS, () => this.#schedule());
    this.#schedule();
  }

  stop(): void {
    this.#started = false;
    clearTimeout(this.#stopping);
    clearTimeout(this.#scheduled);
    this.#scheduled = undefined;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#ads.stop();
    this.#supervisors.stop();
  }

  /** To be called when proxy pods came or went. */
  changed(): void {
    this.#schedule();
  }

  portOf(listener: bigint): number | undefined {
    return this.#options.ports.portOf(listener);
  }

  reserve(listeners: Iterable<bigint>): void {
    this.#options.ports.reserve(listeners, Date.now());
  }

  /** What Envoy says against a resource of the store. */
  errorOf(name: string): string | undefined {
    return this.#errors.get(name);
  }

  /**
   * Tells Envoys what the store holds under these names, and waits until listeners can be pointed at.
   *
   * @returns listeners that Envoy refuses, and why
   */
  async offer(names: readonly string[], listeners: ReadonlySet<bigint>): Promise<ReadonlyMap<bigint, string>> {
    if (!this.#started) return new Map();
    if (names.length > 0) {
      this.#config.update(names);
      this.#order();
    }
    return this.#await(listeners);
  }

  /**
   * The kernel holds what the store says: Envoys may soon forget what is gone, and ports are free again.
   *
   * @param deleted names that the store holds no longer
   * @param isPointedAt whether a row of the kernel names the listener
   */
  settle(deleted: readonly string[], isPointedAt: (listener: bigint) => boolean): void {
    if (!this.#started) return;
    this.#order();
    for (const name of deleted) this.#doomed.add(name);
    if (this.#doomed.size > 0) this.#later(this.#options.quietMs ?? QUIET_MS, () => this.#forget(isPointedAt));
    this.#freePorts(isPointedAt);
  }

  /** Listeners that rows still name stay: the sets of those rows were held back. */
  #forget(isPointedAt: (listener: bigint) => boolean): void {
    const gone = [...this.#doomed].filter((name) => {
      const listener = listenerOfName(name);
      return listener === undefined || !isPointedAt(listener);
    });
    for (const name of gone) this.#doomed.delete(name);
    this.#config.remove(gone);
    this.#freePorts(isPointedAt);
  }

  status(): EnvoyStatus {
    const { ports, proxies, current } = this.#options;
    return statusOf({
      wanted: this.#wanted,
      proxies: this.#views().map((view, i) => ({ ...view, name: proxies()[i]?.name ?? '' })),
      current: current(),
      ports: [...ports.listeners()].map((id) => ({ id, port: ports.portOf(id) ?? 0 })),
      verdict: (id) => {
        const client = this.#currentClient();
        return client && this.#config.judge(id, client);
      },
      errors: this.#errors,
    });
  }

  get #settling(): boolean {
    return performance.now() - this.#startedAt < SETTLE_MS;
  }

  #currentClient() {
    const slot = this.#options.current();
    const pod = this.#options.proxies().find((one) => one.slot === slot);
    return pod && this.#ads.client(pod.uid);
  }

  #views(): ProxyView[] {
    return this.#options.proxies().map(({ slot, uid }) => {
      const client = this.#ads.client(uid);
      return {
        slot,
        uid,
        supervisor: this.#supervisors.state(uid),
        config: client && this.#config.completeness(client),
      };
    });
  }

  async #await(listeners: ReadonlySet<bigint>): Promise<ReadonlyMap<bigint, string>> {
    const deadline = performance.now() + (this.#options.patienceMs ?? PATIENCE_MS);
    const refused = new Map<bigint, string>();
    // Of what nobody has described no Envoy will ever have anything.
    let pending = [...listeners].filter((id) => this.#serves(id));
    while (pending.length > 0) {
      const proxy = awaitedProxy(this.#views(), this.#options.current(), this.#settling);
      if (proxy === undefined) break;
      const client = this.#ads.client(proxy.uid);
      pending = pending.filter((id) => {
        const verdict = client && this.#config.judge(id, client);
        if (verdict?.kind === 'rejected') refused.set(id, verdict.reason);
        return verdict === undefined || verdict.kind === 'pending';
      });
      const left = deadline - performance.now();
      if (left <= 0) break;
      if (pending.length > 0) await this.#nextProgress(left);
    }
    // The Envoy that has them is the one that they are sent to.
    this.#point(this.#views());
    return refused;
  }

  /** The operator has said what the listener is, and Envoys are told. */
  #serves(id: bigint): boolean {
    return this.#config.get(`${PREFIX}listener/${listenerName(id)}`) !== undefined;
  }

  async #nextProgress(timeoutMs: number): Promise<void> {
    const ended = new AbortController();
    const progress = new Promise<void>((resolve) => {
      this.#waiters.add(resolve);
      ended.signal.addEventListener('abort', () => this.#waiters.delete(resolve));
    });
    const timeout = sleep(timeoutMs, undefined, { signal: ended.signal }).catch(() => {});
    await Promise.race([progress, timeout]);
    ended.abort();
  }

  /** Starts Envoy at once when there is something for it, and stops it when there has been nothing for a while. */
  #order(): void {
    this.#wanted = wantsEnvoy(this.#options.store);
    if (this.#wanted) {
      clearTimeout(this.#stopping);
      this.#stopping = undefined;
      this.#setRun(true);
    } else if (this.#run && this.#stopping === undefined) {
      this.#stopping = setTimeout(() => this.#setRun(false), this.#options.keepMs ?? KEEP_MS);
    }
  }

  #setRun(run: boolean): void {
    this.#stopping = undefined;
    if (this.#run === run) return;
    this.#run = run;
    this.#supervisors.tellAll();
    this.#schedule();
  }

  /** Envoys answer in bursts, and each look goes over everything. */
  #schedule(): void {
    if (!this.#started) return;
    this.#scheduled ??= setTimeout(() => {
      this.#scheduled = undefined;
      this.#evaluate();
    }, LOOK_MS);
  }

  #evaluate(): void {
    const views = this.#views();
    const chosen = this.#point(views);
    for (const uid of retirable(views, chosen)) this.#supervisors.retire(uid);
    this.#noteErrors();
    this.#noteProblem(whyNoEnvoy(views, chosen));
    // Last: whoever waited may now write rows, behind the one above.
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const wake of waiters) wake();
    this.#options.onProgress();
  }

  /** Sends new connections to the pod that serves best. @returns its slot */
  #point(views: readonly ProxyView[]): number | undefined {
    const before = this.#options.current();
    const chosen = chooseProxy(views, before, this.#settling);
    if (chosen !== undefined && chosen !== before) {
      const failed = (error: unknown): void =>
        this.#options.log('the proxy row is not written', { error: messageOf(error) });
      void this.#options.point(chosen).catch(failed);
    }
    return chosen;
  }

  #noteErrors(): void {
    const errors = new Map<string, string>();
    for (const [name] of this.#config.entries()) {
      for (const client of this.#ads.clients()) {
        const standing = this.#config.standing(name, client);
        if (typeof standing === 'object') errors.set(name, `Envoy refuses it: ${standing.reason.slice(0, MAX_REASON)}`);
      }
    }
    const changed = [...errors.keys(), ...this.#errors.keys()].filter(
      (name) => errors.get(name) !== this.#errors.get(name),
    );
    this.#errors = errors;
    if (changed.length === 0) return;
    const { store, onOutcomes } = this.#options;
    onOutcomes(
      [...new Set(changed)].map((name) => ({ name, version: store.get(name)?.version, error: errors.get(name) })),
    );
  }

  /** A problem that lasts is told, from when on it has been one. */
  #noteProblem(why: string | undefined): void {
    if (why === undefined || !this.#wanted) {
      this.#problemSince = undefined;
      this.#options.onProblem(undefined);
      return;
    }
    if (this.#problemSince === undefined) {
      this.#problemSince = Date.now();
      this.#later(PROBLEM_MS + 10, () => this.#schedule());
    }
    if (Date.now() - this.#problemSince < PROBLEM_MS) return;
    const since = new Date(this.#problemSince).toISOString();
    this.#options.onProblem(
      `rules of layer 7 apply on this node and no Envoy enforces them since ${since}: ${why}. Connections that need one ` +
        'are refused. Look at the pod of the DaemonSet weft-envoy on this node and at its log',
    );
  }

  #freePorts(isPointedAt: (listener: bigint) => boolean): void {
    const { ports } = this.#options;
    for (const id of [...ports.listeners()]) {
      if (!isPointedAt(id) && !this.#serves(id)) ports.release(id, Date.now());
    }
  }

  #later(ms: number, task: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      task();
    }, ms);
    this.#timers.add(timer);
  }
}
