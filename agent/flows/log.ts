/** The agent's memory of flows: events and requests as they come, names as they are asked for. */
import type { FlowEvent, RequestRecord } from 'bpf-loader-napi';
import type { LocalPod } from '../state/pod.ts';
import type { ResourceStore } from '../state/store.ts';
import { setOfName } from '../tables/policy-rows.ts';
import { decodeResource } from '../tables/resource.ts';
import { PodHistory } from './history.ts';
import { describeRequest } from './request.ts';
import { RequestRing } from './request-ring.ts';
import { FlowRing } from './ring.ts';
import { RuleTables } from './rules.ts';
import { describeFlow, type Flow, type FlowNames, type FlowPod } from './view.ts';

/** Where a reader is in both rings. */
export interface FlowCursor {
  readonly event: number;
  readonly request: number;
}

/** A place in one of the rings. */
export interface FlowPlace {
  readonly ring: 'event' | 'request';
  readonly index: number;
}

export class FlowLog {
  readonly ruleTables = new RuleTables();
  /** Requests have memory of their own: however many there are, no connection is forgotten for them. */
  readonly #rings = { event: new FlowRing(), request: new RequestRing() };
  readonly #history = new PodHistory();
  readonly #podOfSlot: (slot: number) => FlowPod | undefined;
  readonly #pods: () => readonly LocalPod[];
  readonly #names: FlowNames;
  readonly #listeners = new Set<() => void>();
  readonly #known = new Map<number, FlowPod>();
  #number = 0;

  constructor(node: string, podOfSlot: (slot: number) => FlowPod | undefined, pods: () => readonly LocalPod[]) {
    this.#podOfSlot = podOfSlot;
    this.#pods = pods;
    const podAt = (slot: number, time: number) => this.#history.find(slot, time) ?? this.#current(slot);
    this.#names = { node, rules: this.ruleTables, podAt };
  }

  push(events: readonly FlowEvent[], lost: number): void {
    this.#rings.event.lost += lost;
    for (const event of events) this.#rings.event.push(event, this.#number++);
    this.#tell();
  }

  pushRequests(records: readonly RequestRecord[], lost: number): void {
    this.#rings.request.lost += lost;
    const slots = new Map<string | undefined, number>();
    for (const { slot, ipv4, ipv6 } of this.#pods()) slots.set(ipv4, slot).set(ipv6, slot);
    slots.delete(undefined);
    for (const record of records) {
      const sourceSlot = slots.get(record.source);
      const destinationSlot = slots.get(record.upstream ?? record.destination);
      const event = {
        ...record,
        ...(sourceSlot === undefined ? {} : { sourceSlot }),
        ...(destinationSlot === undefined ? {} : { destinationSlot }),
      };
      this.#rings.request.push(event, this.#number++);
    }
    this.#tell();
  }

  /** How many there were, and how many more were lost on the way. */
  get counts() {
    const { event, request } = this.#rings;
    const of = ({ end, lost }: FlowRing | RequestRing) => ({ seen: end, lost });
    return { flows: of(event), requests: of(request) };
  }

  get start(): FlowCursor {
    return { event: this.#rings.event.start, request: this.#rings.request.start };
  }

  get end(): FlowCursor {
    return { event: this.#rings.event.end, request: this.#rings.request.end };
  }

  /** Where the flows from a cursor on are, those that are held, in the order in which they came. */
  places(from: FlowCursor): FlowPlace[] {
    const { event, request } = this.#rings;
    const all: FlowPlace[] = [];
    let [e, r] = [Math.max(from.event, event.start), Math.max(from.request, request.start)];
    while (e < event.end || r < request.end) {
      const isEvent = r >= request.end || (e < event.end && event.numberOf(e) < request.numberOf(r));
      all.push(isEvent ? { ring: 'event', index: e++ } : { ring: 'request', index: r++ });
    }
    return all;
  }

  /** A flow with names; undefined where it is gone. */
  get({ ring, index }: FlowPlace): Flow | undefined {
    if (ring === 'event') {
      const event = this.#rings.event.get(index);
      return event && describeFlow(this.#rings.event.numberOf(index), event, this.#names);
    }
    const record = this.#rings.request.get(index);
    return record && describeRequest(this.#rings.request.numberOf(index), record, this.#names);
  }

  /** Calls back when flows came. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** To be called when a slot's pod is gone. */
  left(slot: number): void {
    const pod = this.#known.get(slot);
    if (pod) this.#history.left(slot, pod, Date.now());
    this.#known.delete(slot);
  }

  /** Notes what policy sets say from now on. */
  rules(names: readonly string[], store: ResourceStore): void {
    for (const name of names) {
      const id = setOfName(name);
      if (id === undefined) continue;
      const bytes = store.get(name)?.bytes;
      const resource = bytes && decodeResource(name, bytes);
      this.ruleTables.record(id, resource?.$case === 'policySet' ? resource.value : undefined, Date.now());
    }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #current(slot: number): FlowPod | undefined {
    const pod = this.#podOfSlot(slot);
    if (pod) this.#known.set(slot, pod);
    return pod;
  }
}
