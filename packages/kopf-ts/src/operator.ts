import type { KubeClient } from './client/client.ts';
import { type Clock, type Random, sleep, systemClock } from './clock.ts';
import type { Controller, Inherited } from './controller/controller.ts';
import { asError, logFailure, type OnError } from './errors.ts';
import type { Kind, KubeObject } from './kind.ts';
import { LeaderElection, type LeaderElectionOptions } from './lease.ts';
import type { Store } from './store/store.ts';
import { withoutManagedFields } from './store/transform.ts';
import { Watcher, type WatcherOptions, type WatcherStats } from './watch/watcher.ts';

export interface OperatorOptions {
  readonly client: KubeClient;
  /** Without it everything that is leader-only runs always. */
  readonly leaderElection?: Omit<LeaderElectionOptions, 'client' | 'clock' | 'random' | 'onError'>;
  /** How long handlers may take to finish after a stop before their signals abort; by default 20,000 ms. */
  readonly graceMs?: number;
  readonly onError?: OnError;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Something that runs as long as the operator (or its leadership) does; it must return when `stopping` aborts. */
export interface Service {
  readonly name: string;
  /**
   * @param kill aborts when there is no more time to finish, or the leadership is lost
   * @param inherited the operator's error handler, clock and random numbers
   */
  run(stopping: AbortSignal, kill: AbortSignal, inherited: Inherited): Promise<void>;
}

export interface Placement {
  /** Only while this replica is the leader. */
  readonly leaderOnly?: boolean;
}

type WatchInit<T extends KubeObject, S> = Omit<
  WatcherOptions<T, S>,
  'client' | 'kind' | 'transform' | 'onError' | 'clock' | 'random'
>;

/** A watcher, whatever its type. */
interface Mirror {
  readonly store: { readonly name: string };
  readonly stats: WatcherStats;
  run(signal: AbortSignal): Promise<void>;
}

/** After handlers were told to give up, this long is waited for those that do not listen. */
const deafMs = 1000;

/** Composes watchers, controllers and leader election into one process with an orderly end. */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #clock: Clock;
  readonly #onError: OnError;
  readonly #election: LeaderElection | undefined;
  readonly #watchers: Mirror[] = [];
  readonly #services: Service[] = [];
  readonly #leaderServices: Service[] = [];
  readonly #atStop: (() => Promise<void>)[] = [];
  #leading = false;

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#onError = options.onError ?? logFailure;
    const { client, leaderElection, random = Math.random } = options;
    // Here rather than when it is run: times that do not fit together are the caller's mistake.
    if (leaderElection !== undefined)
      this.#election = new LeaderElection({
        ...leaderElection,
        client,
        clock: this.#clock,
        random,
        onError: this.#onError,
      });
  }

  /** Whether this replica is the leader; without leader election always while it runs. */
  get isLeader(): boolean {
    return this.#leading;
  }

  /** Where each watcher stands, by the name of its store: for metrics and readiness. */
  get watchers(): ReadonlyMap<string, WatcherStats> {
    return new Map(this.#watchers.map((watcher) => [watcher.store.name, watcher.stats]));
  }

  /** Mirrors a kind. `managedFields` are dropped; give a `transform` to keep less. */
  watch<T extends KubeObject, S>(
    kind: Kind<T>,
    options: WatchInit<T, S> & { readonly transform: (object: T) => S | undefined },
  ): Store<S>;
  watch<T extends KubeObject>(kind: Kind<T>, options?: WatchInit<T, T>): Store<T>;
  watch<T extends KubeObject, S>(
    kind: Kind<T>,
    options: WatchInit<T, T> | (WatchInit<T, S> & { readonly transform: (object: T) => S | undefined }) = {},
  ): Store<T> | Store<S> {
    return 'transform' in options
      ? this.#mirror(kind, options, options.transform)
      : this.#mirror(kind, options, withoutManagedFields<T>);
  }

  #mirror<T extends KubeObject, S>(
    kind: Kind<T>,
    options: WatchInit<T, S>,
    transform: (object: T) => S | undefined,
  ): Store<S> {
    const { client } = this.#options;
    const onError = this.#onError;
    const random = this.#options.random ?? Math.random;
    const watcher = new Watcher<T, S>({ ...options, client, kind, transform, onError, clock: this.#clock, random });
    this.#watchers.push(watcher);
    return watcher.store;
  }

  /** Runs a controller or another service. */
  add(service: Controller | Service, placement: Placement = {}): void {
    (placement.leaderOnly === true ? this.#leaderServices : this.#services).push(service);
  }

  /** Called after everything that acts has ended, for example to write pending events; may take `graceMs`. */
  atStop(task: () => Promise<void>): void {
    this.#atStop.push(task);
  }

  /** Works until `signal` aborts; then handlers finish, the lease is given back, watches end, and it resolves. */
  async run(signal: AbortSignal): Promise<void> {
    const kill = new AbortController();
    const watching = new AbortController();
    const watchers = this.#watchers.map((watcher) => watcher.run(watching.signal));
    const acting = Promise.all([
      ...this.#services.map((service) => this.#guard(service, signal, kill.signal)),
      this.#lead(signal, kill.signal),
    ]);
    await aborted(signal);
    await this.#within(acting, kill);
    await this.#within(Promise.all(this.#atStop.map((task) => this.#lastWord(task))), kill);
    watching.abort();
    await Promise.all(watchers);
  }

  /** One that fails must not keep the others from being waited for. */
  async #lastWord(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (thrown) {
      this.#onError({ step: 'stop', subject: 'operator', error: asError(thrown) });
    }
  }

  async #lead(signal: AbortSignal, kill: AbortSignal): Promise<void> {
    const services = (stopping: AbortSignal, end: AbortSignal): Promise<unknown> => {
      this.#leading = true;
      const running = this.#leaderServices.map((service) => this.#guard(service, stopping, end));
      return Promise.all([aborted(stopping), ...running]).finally(() => {
        this.#leading = false;
      });
    };
    if (this.#election === undefined) {
      await services(signal, kill);
      return;
    }
    await this.#election.run(
      signal,
      async (leadership) => {
        leadership.signal.addEventListener('abort', () => {
          this.#leading = false;
        });
        await services(leadership.stopping, leadership.signal);
      },
      kill,
    );
  }

  /** A service that fails takes nothing else down with it; it is started again after a second. */
  async #guard(service: Service, stopping: AbortSignal, kill: AbortSignal): Promise<void> {
    const inherited = { onError: this.#onError, clock: this.#clock, random: this.#options.random ?? Math.random };
    while (!stopping.aborted) {
      try {
        await service.run(stopping, kill, inherited);
        return;
      } catch (thrown) {
        this.#onError({ step: 'reconcile', subject: service.name, error: asError(thrown) });
        await sleep(this.#clock, 1000, stopping);
      }
    }
  }

  /** Waits for `work`; after `graceMs` aborts `kill`, and a second later goes on without what does not listen. */
  async #within(work: Promise<unknown>, kill: AbortController): Promise<void> {
    const over = new AbortController();
    const ended = work.then(
      () => true,
      (thrown: unknown) => {
        this.#onError({ step: 'stop', subject: 'operator', error: asError(thrown) });
        return true;
      },
    );
    const { graceMs = 20_000 } = this.#options;
    const late = (ms: number): Promise<false> => sleep(this.#clock, ms, over.signal).then(() => false);
    if (!(await Promise.race([ended, late(graceMs)]))) {
      kill.abort();
      if (!(await Promise.race([ended, late(deafMs)]))) {
        const error = new Error(`still busy ${deafMs} ms after being told to give up; left behind`);
        this.#onError({ step: 'stop', subject: 'operator', error });
      }
    }
    over.abort();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Runs the operator until SIGTERM or SIGINT; a second signal ends the process at once, as if nobody had listened. */
export async function run(operator: Operator): Promise<void> {
  const stop = new AbortController();
  const onSignal = (): void => {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
    stop.abort();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  await operator.run(stop.signal);
}
