import { randomBytes } from 'node:crypto';
import type { KubeClient } from './client/client.ts';
import { type Clock, systemClock } from './clock.ts';
import { asError, KubeError, logFailure, type OnError } from './errors.ts';
import { apiVersion, defineKind, type Kind, type KubeObject } from './kind.ts';
import { RateLimit } from './rate-limit.ts';

/** `events.k8s.io/v1`; limits as validated by the API server. */
interface EventObject extends KubeObject {
  readonly series?: { readonly count: number; readonly lastObservedTime: string };
}

const eventKind: Kind<EventObject> = defineKind({
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
});

export interface EventInput {
  readonly kind: Kind;
  /** The object that it is about. */
  readonly object: KubeObject;
  readonly type: 'Normal' | 'Warning';
  /** CamelCase word: why. At most 128 characters. */
  readonly reason: string;
  /** CamelCase word: what was done or tried. At most 128 characters. */
  readonly action: string;
  /** A sentence for people; cut after 1,024 bytes. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly client: KubeClient;
  /** Qualified name of the controller, for example `weft.dev/operator`. */
  readonly controller: string;
  /** Which replica; usually the pod's name. */
  readonly instance: string;
  /** Repetitions are counted into one event and written at most once in this time; by default 60,000 ms. */
  readonly flushMs?: number;
  /** A cap on API writes; by default 5 a second, 50 at once. What is above it is dropped and counted. */
  readonly limit?: RateLimit;
  readonly onError?: OnError;
  readonly clock?: Clock;
}

interface Series {
  readonly namespace: string;
  readonly name: string;
  count: number;
  written: number;
  lastObserved: number;
  /** The write under way for this event; later ones follow it. */
  pending: Promise<void>;
  cancel: () => void;
}

/**
 * Writes Kubernetes events: the first of its kind at once, repetitions as a growing `series` of it. Never throws and
 * never makes the caller wait.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #limit: RateLimit;
  readonly #series = new Map<string, Series>();
  #dropped = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#limit = options.limit ?? new RateLimit({ perSecond: 5, burst: 50, clock: this.#clock });
  }

  /** Events that were dropped because of the cap. */
  get dropped(): number {
    return this.#dropped;
  }

  emit(input: EventInput): void {
    const { object, type, reason, action, note } = input;
    const id = JSON.stringify([object.metadata.uid ?? object.metadata.name, type, reason, action, note]);
    const known = this.#series.get(id);
    const now = this.#clock.now();
    if (known !== undefined) {
      known.count++;
      known.lastObserved = now;
      return;
    }
    if (!this.#limit.take().taken) {
      this.#dropped++;
      return;
    }
    // Events about cluster-scoped objects live in "default" (API server's validation of events).
    const namespace = object.metadata.namespace ?? 'default';
    const name = `${object.metadata.name.slice(0, 230)}.${randomBytes(8).toString('hex')}`;
    const series: Series = {
      namespace,
      name,
      count: 1,
      written: 1,
      lastObserved: now,
      pending: Promise.resolve(),
      cancel: () => {},
    };
    this.#series.set(id, series);
    series.pending = this.#attempt(input, async () => {
      await this.#options.client.create(eventKind, this.#eventOf(input, series, now), { retries: 2 });
    });
    this.#arm(id, input, series);
  }

  /** Writes what is still counted, and waits until all writes have ended. */
  async flush(): Promise<void> {
    const all = [...this.#series.values()];
    for (const [id, series] of this.#series) {
      series.cancel();
      this.#series.delete(id);
      this.#writeSeries(undefined, series);
    }
    await Promise.all(all.map((series) => series.pending));
  }

  #arm(id: string, input: EventInput, series: Series): void {
    series.cancel = this.#clock.after(this.#options.flushMs ?? 60_000, () => {
      if (series.count === series.written) {
        // Quiet for a whole interval: the series is over, the next one of its kind is a new event.
        this.#series.delete(id);
        return;
      }
      if (this.#limit.take().taken) this.#writeSeries(input, series);
      this.#arm(id, input, series);
    });
  }

  #writeSeries(input: EventInput | undefined, series: Series): void {
    if (series.count === series.written) return;
    const { namespace, name, count } = series;
    series.written = count;
    const patch = { series: { count, lastObservedTime: microTime(series.lastObserved) } };
    series.pending = series.pending.then(() =>
      this.#attempt(input, async () => {
        await this.#options.client.patch(eventKind, { namespace, name }, patch, { retries: 2 });
      }),
    );
  }

  async #attempt(input: EventInput | undefined, write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (thrown) {
      // The namespace is being deleted, or the event was: there is nobody left to read it.
      if (thrown instanceof KubeError && (thrown.isNotFound || thrown.causes.includes('NamespaceTerminating'))) return;
      const subject = input === undefined ? 'series' : `${input.reason} for ${input.object.metadata.name}`;
      (this.#options.onError ?? logFailure)({ step: 'event', subject, error: asError(thrown) });
    }
  }

  #eventOf(input: EventInput, series: Series, now: number): EventObject {
    const { name, namespace, uid, resourceVersion } = input.object.metadata;
    const event = {
      metadata: { name: series.name, namespace: series.namespace },
      eventTime: microTime(now),
      type: input.type,
      reason: input.reason.slice(0, 128),
      action: input.action.slice(0, 128),
      note: cutTo(input.note, 1024),
      reportingController: this.#options.controller,
      reportingInstance: this.#options.instance.slice(0, 128),
      regarding: { apiVersion: apiVersion(input.kind), kind: input.kind.kind, name, namespace, uid, resourceVersion },
    };
    return event;
  }
}

/** The longest beginning that fits, with an ellipsis if it is not the whole. */
export function cutTo(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  const kept = Buffer.from(text).subarray(0, bytes - Buffer.byteLength('…'));
  // A character that was cut in two decodes to U+FFFD.
  return `${kept.toString('utf8').replace(/\uFFFD+$/, '')}…`;
}

/** `metav1.MicroTime`. */
export function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
