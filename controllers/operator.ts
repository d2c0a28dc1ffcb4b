import { ResourceCache } from '@weft/xds';
import {
  type Clock,
  EventRecorder,
  type Failure,
  type KubeClient,
  Operator,
  RateLimit,
  StatusWriter,
  sleep,
  systemClock,
} from 'kopf-ts';
import { Compiler } from '../reconcilers/index.ts';
import { type StatusSnapshot, statusSnapshot } from './control/snapshot.ts';
import { installAbsentCrds } from './crds.ts';
import { OperatorEndpoints } from './endpoints.ts';
import { asError } from './errors.ts';
import { FactCollector } from './facts/collector.ts';
import type { FactChange } from './facts/queue.ts';
import { Model } from './model.ts';
import { ReportStore } from './reports/store.ts';
import { Acceptance } from './serving/acceptance.ts';
import { Publisher } from './serving/publisher.ts';
import { AgentServer } from './serving/server.ts';
import { ParentsWriter } from './status/parents.ts';
import { StatusReconciler, type StatusTiming } from './status/status.ts';
import type { CertificateAuthority } from './trust/ca.ts';
import { loadRoot, publishRoot, rootProblem } from './trust/root.ts';
import { operatorDnsName, ServingCertificate } from './trust/serving.ts';

export interface WeftOperatorOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** For agents; 0: any free one. */
  readonly port: number;
  readonly advertiseAddress: string;
  readonly identity: string;
  readonly version: string;
  readonly log: (line: string) => void;
  readonly clock?: Clock;
  readonly timing?: Partial<StatusTiming>;
  /** How long a stop may take, in milliseconds; by default 10,000. */
  readonly graceMs?: number;
  /** How often the CA's Secret and ConfigMap are looked at, in milliseconds; by default 60,000. */
  readonly rootCheckMs?: number;
}

/** Statuses that all replicas together write, in the whole cluster. */
const STATUS_WRITES = { perSecond: 20, burst: 100 } as const;
const RETRY_MS = 2_000;

/** The operator, all of its parts put together. */
export class WeftOperator {
  readonly #options: WeftOperatorOptions;
  readonly #clock: Clock;
  readonly #operator: Operator;
  readonly #collector: FactCollector;
  readonly #compiler = new Compiler();
  readonly #cache = new ResourceCache();
  readonly #reports = new ReportStore();
  readonly #acceptance = new Acceptance();
  readonly #publisher: Publisher;
  readonly #model: Model;
  readonly #status: StatusReconciler;
  #server: AgentServer | undefined;
  #broken: string | undefined;
  #observing = false;

  constructor(options: WeftOperatorOptions) {
    this.#options = options;
    const { client, namespace, identity, log, clock = systemClock, timing } = options;
    this.#clock = clock;
    const onError = (failure: Failure): void => this.#onFailure(failure);
    this.#operator = new Operator({
      client,
      clock,
      onError,
      graceMs: options.graceMs ?? 10_000,
      leaderElection: { namespace, name: 'weft-operator-leader', identity },
    });
    this.#publisher = new Publisher(this.#cache);
    this.#collector = new FactCollector({
      client,
      watch: (kind, watching) => this.#operator.watch(kind, watching),
      deliver: (changes) => this.#compile(changes),
      onProblems: (key, problems) => this.#model.setProblems(key, problems),
      onStatus: (key) => this.#status.statusChanged(key),
      log,
    });
    const created = (node: string): number | undefined => {
      const time = Date.parse(this.#collector.object(`Node/${node}`)?.metadata.creationTimestamp ?? '');
      return Number.isNaN(time) ? undefined : time;
    };
    this.#model = new Model({ publisher: this.#publisher, reports: this.#reports, clock, nodeCreated: created });
    const recorder = new EventRecorder({ client, controller: 'weft.dev/operator', instance: identity, onError, clock });
    this.#operator.atStop(() => recorder.flush());
    const limit = new RateLimit({ ...STATUS_WRITES, clock });
    this.#status = new StatusReconciler({
      model: this.#model,
      collector: this.#collector,
      writer: new StatusWriter({ client, fieldManager: 'weft-operator', limit, clock }),
      parents: new ParentsWriter({ client, limit, clock }),
      recorder,
      accepted: (...what) => this.#acceptance.has(...what),
      clock,
      onError,
      ...(timing === undefined ? {} : { timing }),
    });
    this.#operator.add(this.#status.controller, { leaderOnly: true });
    this.#reports.subscribe(() => this.#observe());
  }

  /** Why this process should be restarted; undefined: it works. */
  get broken(): string | undefined {
    return this.#broken;
  }

  /** What is waited for before anything is served; undefined: nothing. */
  get waiting(): string | undefined {
    if (this.#server === undefined) return 'waiting for the certificate authority';
    const kinds = this.#collector.waitingFor;
    return kinds.length === 0 ? undefined : `waiting for the lists of ${kinds.join(', ')}`;
  }

  /** Resolves when everything was read and is served. */
  get ready(): Promise<void> {
    return this.#collector.ready;
  }

  /** The port that agents are served on; 0 before there is one. */
  get port(): number {
    return this.#server?.port ?? 0;
  }

  snapshot(): StatusSnapshot {
    const { version, identity } = this.#options;
    return statusSnapshot({
      model: this.#model,
      reports: this.#reports,
      collector: this.#collector,
      accepted: (...what) => this.#acceptance.has(...what),
      operator: () => ({
        version,
        identity,
        leader: this.#operator.isLeader,
        ready: this.waiting === undefined && this.#broken === undefined,
        waitingFor: this.#collector.waitingFor,
        absent: this.#collector.absent,
      }),
    });
  }

  /**
   * Works until `signal` aborts.
   * @throws Error if the port can't be listened on
   */
  async run(signal: AbortSignal): Promise<void> {
    const { client, log } = this.#options;
    const crds = await this.#insist('CustomResourceDefinitions of cilium.io', signal, () =>
      installAbsentCrds(client, signal),
    );
    for (const name of crds ?? []) log(`installed CustomResourceDefinition ${name}, which was absent`);
    const root = { client, namespace: this.#options.namespace, now: () => this.#clock.now() };
    const authority = await this.#insist('certificate authority', signal, () => loadRoot(root));
    if (authority === undefined) return;
    await this.#insist('ConfigMap weft-ca', signal, () => publishRoot(authority, root));
    if (signal.aborted) return;
    const server = await this.#serve(authority);
    this.#server = server;
    this.#operator.add({
      name: 'ConfigMap weft-ca',
      run: (stopping: AbortSignal) => this.#keepRoot(authority, stopping),
    });
    const endpoints = this.#endpoints(server.port);
    this.#operator.add({
      name: 'endpoints',
      run: async (stopping: AbortSignal) => {
        // An agent that finds this replica must find an answer there.
        await Promise.race([this.#collector.ready, aborted(stopping)]);
        await endpoints.run(stopping);
      },
    });
    this.#operator.add(
      { name: 'dead replicas', run: (stopping: AbortSignal) => endpoints.sweep(stopping) },
      { leaderOnly: true },
    );
    await this.#operator.run(signal);
    await server.stop(1_000);
  }

  async #serve(authority: CertificateAuthority): Promise<AgentServer> {
    const { client, namespace, log, port } = this.#options;
    const certificate = await ServingCertificate.issue({
      authority,
      dnsName: operatorDnsName(namespace),
      clock: this.#clock,
      log,
    });
    this.#operator.add({ name: 'serving certificate', run: (stopping: AbortSignal) => certificate.run(stopping) });
    const server = await AgentServer.start({
      bootstrap: { client, namespace, authority, now: () => this.#clock.now(), log },
      certificate,
      cache: this.#cache,
      reports: this.#reports,
      port,
      clock: this.#clock,
      onAnswer: (answer) => {
        if (answer.rejected !== undefined) log(`node ${answer.view} rejected an update: ${answer.rejected}`);
        this.#observe();
      },
      onStream: ({ kind, view }) => log(`agent of node ${view}: stream ${kind}`),
    });
    log(`agents are served on port ${server.port}`);
    return server;
  }

  #endpoints(port: number): OperatorEndpoints {
    const { client, namespace, identity, advertiseAddress: address, log } = this.#options;
    return new OperatorEndpoints({ client, namespace, identity, address, port, clock: this.#clock, log });
  }

  /** The whole way from facts to what agents are served is synchronous: nobody ever sees a part of a batch. */
  #compile(changes: readonly FactChange[]): void {
    try {
      this.#model.apply(this.#compiler.update(changes), changes);
    } catch (thrown) {
      // What is served stays as it is; liveness fails, so that a new process compiles everything from nothing.
      const error = asError(thrown);
      this.#broken = `the compiler failed: ${error.message}`;
      this.#options.log(`${this.#broken}\n${error.stack ?? ''}`);
    }
  }

  #onFailure({ step, subject, error }: Failure): void {
    if (this.#collector.isExpected(subject, error)) return;
    this.#options.log(`${step} ${subject}: ${error.message}`);
    void this.#collector.onFailure(subject, error);
  }

  /** Looks at what agents have accepted and reported, soon and for all together, when no stream is written to. */
  #observe(): void {
    if (this.#observing) return;
    this.#observing = true;
    this.#clock.after(20, () => {
      this.#observing = false;
      if (this.#server === undefined) return;
      this.#acceptance.observe(this.#server.ads.streams(), this.#cache.revision);
      this.#status.nodesChanged();
    });
  }

  async #keepRoot(authority: CertificateAuthority, stopping: AbortSignal): Promise<void> {
    const { client, namespace, log, rootCheckMs = 60_000 } = this.#options;
    const root = { client, namespace, now: () => this.#clock.now() };
    while (!stopping.aborted) {
      await sleep(this.#clock, rootCheckMs, stopping);
      if (stopping.aborted) return;
      try {
        const problem = await rootProblem(authority, root);
        if (problem !== undefined) {
          // Two replicas with different CAs would take turns in the ConfigMap.
          this.#broken = problem;
          log(problem);
          return;
        }
        if (await publishRoot(authority, root)) log('ConfigMap weft-ca was written again: it was changed or deleted');
      } catch (thrown) {
        log(`ConfigMap weft-ca: ${asError(thrown).message}`);
      }
    }
  }

  /** Tries until it works; undefined if `signal` aborts before. */
  async #insist<T>(what: string, signal: AbortSignal, attempt: () => Promise<T>): Promise<T | undefined> {
    while (!signal.aborted) {
      try {
        return await attempt();
      } catch (thrown) {
        this.#options.log(`${what}: ${asError(thrown).message}`);
        await sleep(this.#clock, RETRY_MS, signal);
      }
    }
    return undefined;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
