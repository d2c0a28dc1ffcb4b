import type { KubeClient, RequestOptions } from './client/client.ts';
import { type Clock, type Random, sleep, systemClock } from './clock.ts';
import { asError, KubeError, logFailure, type OnError } from './errors.ts';
import { microTime } from './events.ts';
import { defineKind, type Kind, type KubeObject } from './kind.ts';

/** `coordination.k8s.io/v1` Lease. */
export interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

export const leaseKind: Kind<Lease> = defineKind<Lease>({
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
});

export interface LeaderElectionOptions {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'replace'>;
  readonly namespace: string;
  /** Name of the Lease. */
  readonly name: string;
  /** Unique among the candidates, for example pod name and a random suffix. */
  readonly identity: string;
  /** Others may take the lease after they have seen no renewal for so long; by default 15,000 ms. */
  readonly leaseMs?: number;
  /** The leader stops acting if its last renewal was begun so long ago; by default 10,000 ms; less than `leaseMs`. */
  readonly renewDeadlineMs?: number;
  /** Pause between tries; by default 2,000 ms. */
  readonly retryMs?: number;
  readonly onError?: OnError;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** One term as leader. */
export interface Leadership {
  /** Aborts when the term is lost, before anyone else can begin one: stop at once. Hand it to everything that acts. */
  readonly signal: AbortSignal;
  /** Aborts when the term is lost or this process wants to stop: finish what is under way and return. */
  readonly stopping: AbortSignal;
  /** Grows with each change of leader: a fencing token. */
  readonly term: number;
  /**
   * Whether the term still holds at this very moment. After the whole process was stopped for a while this says no
   * before any timer has run; ask it right before what must not be done twice.
   */
  holds(): boolean;
}

/** What we last saw in the Lease, and since when (on our own clock: those of other machines are not to be trusted). */
interface Seen {
  readonly record: string;
  readonly since: number;
}

/** Leader election by a Lease, after client-go's `leaderelection`. */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #deadlineMs: number;
  readonly #retryMs: number;
  #seen: Seen | undefined;
  #lease: Lease | undefined;

  constructor(options: LeaderElectionOptions) {
    const { leaseMs = 15_000, renewDeadlineMs = 10_000, retryMs = 2_000 } = options;
    if (!(retryMs < renewDeadlineMs && renewDeadlineMs < leaseMs)) {
      throw new RangeError(
        `lease ${options.name}: retryMs (${retryMs}) < renewDeadlineMs (${renewDeadlineMs}) < leaseMs (${leaseMs}) must hold`,
      );
    }
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#leaseMs = leaseMs;
    this.#deadlineMs = renewDeadlineMs;
    this.#retryMs = retryMs;
  }

  /** Who holds the lease, as last seen. */
  get holder(): string | undefined {
    return this.#lease?.spec?.holderIdentity || undefined;
  }

  /**
   * Campaigns until `signal` aborts; calls `lead` for each term. When a term ends, `lead` must return soon; only then
   * does the next campaign begin. When `signal` aborts, the lease is renewed until `lead` has returned, then given back.
   * @param kill ends a term at once, without waiting for `lead` to return by itself
   */
  async run(signal: AbortSignal, lead: (leadership: Leadership) => Promise<void>, kill?: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const begun = this.#instant();
      const taken = await this.#try(signal);
      if (taken && this.#elapsed(begun) < this.#deadlineMs) await this.#term(begun, signal, lead, kill);
      // After a term too: a `lead` that returns at once must not take and give back the lease without end.
      await sleep(this.#clock, this.#retryMs * (1 + 0.2 * (this.#options.random ?? Math.random)()), signal);
    }
  }

  async #term(
    begun: Instant,
    signal: AbortSignal,
    lead: (leadership: Leadership) => Promise<void>,
    kill: AbortSignal | undefined,
  ): Promise<void> {
    const end = new AbortController();
    const lose = (): void => end.abort();
    let renewed = begun;
    let cancel = (): void => {};
    const holds = (): boolean => !end.signal.aborted && this.#elapsed(renewed) < this.#deadlineMs;
    const extend = (from: Instant): void => {
      renewed = from;
      cancel();
      cancel = this.#clock.after(this.#deadlineMs - this.#elapsed(from), lose);
    };
    extend(begun);
    kill?.addEventListener('abort', lose, { once: true });
    if (kill?.aborted) lose();
    const term = this.#lease?.spec?.leaseTransitions ?? 0;
    const stopping = AbortSignal.any([signal, end.signal]);
    const leading = (async () => lead({ signal: end.signal, stopping, term, holds }))()
      .catch((thrown: unknown) => this.#report(thrown))
      .finally(lose);
    while (!end.signal.aborted) {
      await sleep(this.#clock, this.#retryMs, end.signal);
      if (end.signal.aborted) break;
      const from = this.#instant();
      const kept = await this.#try(end.signal);
      if (end.signal.aborted) break;
      if (kept) extend(from);
      else if (this.holder !== this.#options.identity) lose();
    }
    cancel();
    kill?.removeEventListener('abort', lose);
    await leading;
    // Nobody acts any more: the next leader need not wait for the lease to run out.
    if (this.#elapsed(renewed) < this.#leaseMs) await this.#release();
  }

  /** Takes or renews the lease; false if someone else holds it or the API server can't be reached. */
  async #try(signal: AbortSignal): Promise<boolean> {
    const { client, namespace, name, identity } = this.#options;
    const request = { signal, timeoutMs: this.#deadlineMs / 2, retries: 0 };
    try {
      const found = await this.#find(request);
      if (found === undefined) {
        const created = { metadata: { namespace, name }, spec: this.#record(undefined) };
        this.#observe(await client.create(leaseKind, created, request));
        return true;
      }
      this.#observe(found);
      const holder = found.spec?.holderIdentity ?? '';
      if (holder !== '' && holder !== identity && !this.#ranOut()) return false;
      const { metadata } = found;
      const taken = {
        metadata: { namespace, name, resourceVersion: metadata.resourceVersion ?? '' },
        spec: this.#record(found),
      };
      this.#observe(await client.replace(leaseKind, taken, request));
      return true;
    } catch (thrown) {
      // A conflict means that another candidate was faster: nothing to report.
      const raced = thrown instanceof KubeError && (thrown.isConflict || thrown.isAlreadyExists);
      if (!raced && !signal.aborted) this.#report(thrown);
      return false;
    }
  }

  async #find(request: RequestOptions): Promise<Lease | undefined> {
    const { client, namespace, name } = this.#options;
    try {
      return await client.get(leaseKind, { namespace, name }, request);
    } catch (error) {
      if (error instanceof KubeError && error.isNotFound) return undefined;
      throw error;
    }
  }

  #observe(lease: Lease): void {
    this.#lease = lease;
    const record = JSON.stringify(lease.spec ?? {});
    if (this.#seen?.record !== record) this.#seen = { record, since: this.#clock.monotonic() };
  }

  #ranOut(): boolean {
    if (this.#seen === undefined) return false;
    // The holder's own figure counts, if it is longer than ours: it relies on it.
    const seconds = this.#lease?.spec?.leaseDurationSeconds ?? 0;
    return this.#clock.monotonic() - this.#seen.since >= Math.max(this.#leaseMs, seconds * 1000);
  }

  #record(before: Lease | undefined): NonNullable<Lease['spec']> {
    const now = microTime(this.#clock.now());
    const { identity } = this.#options;
    const mine = before?.spec?.holderIdentity === identity;
    const transitions = before?.spec?.leaseTransitions ?? 0;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(this.#leaseMs / 1000),
      acquireTime: mine ? (before.spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: before === undefined || mine ? transitions : transitions + 1,
    };
  }

  async #release(): Promise<void> {
    const request = { timeoutMs: 2_000, retries: 0 };
    try {
      if (await this.#giveBack(request)) return;
      // A renewal that was cut off by the end of the term may have been stored: what we know is too old then.
      const found = await this.#find(request);
      if (found === undefined) return;
      this.#observe(found);
      await this.#giveBack(request);
    } catch (thrown) {
      this.#report(thrown);
    }
  }

  /** False if the lease is not as we last saw it. */
  async #giveBack(request: Pick<RequestOptions, 'timeoutMs' | 'retries'>): Promise<boolean> {
    const { client, namespace, name, identity } = this.#options;
    const lease = this.#lease;
    if (lease?.spec?.holderIdentity !== identity) return true;
    const spec = {
      ...lease.spec,
      holderIdentity: '',
      leaseDurationSeconds: 1,
      renewTime: microTime(this.#clock.now()),
    };
    const metadata = { namespace, name, resourceVersion: lease.metadata.resourceVersion ?? '' };
    try {
      this.#observe(await client.replace(leaseKind, { metadata, spec }, request));
      return true;
    } catch (thrown) {
      if (thrown instanceof KubeError && (thrown.isConflict || thrown.isNotFound)) return false;
      throw thrown;
    }
  }

  #report(thrown: unknown): void {
    const { onError = logFailure, namespace, name } = this.#options;
    onError({ step: 'lease', subject: `${namespace}/${name}`, error: asError(thrown) });
  }

  #instant(): Instant {
    return { monotonic: this.#clock.monotonic(), wall: this.#clock.now() };
  }

  /** The larger of both clocks: the monotonic one stands still while the machine sleeps, the other may be set back. */
  #elapsed(since: Instant): number {
    return Math.max(this.#clock.monotonic() - since.monotonic, this.#clock.now() - since.wall);
  }
}

interface Instant {
  readonly monotonic: number;
  readonly wall: number;
}
