/** The agent's memory of flows: events as they come, names as they are asked for. */
import type { FlowEvent } from 'bpf-loader-napi';
import type { ResourceStore } from '../state/store.ts';
import { setOfName } from '../tables/policy-rows.ts';
import { decodeResource } from '../tables/resource.ts';
import { PodHistory } from './history.ts';
import { FlowRing } from './ring.ts';
import { RuleTables } from './rules.ts';
import { describeFlow, type Flow, type FlowPod } from './view.ts';

export class FlowLog {
  readonly ring = new FlowRing();
  readonly ruleTables = new RuleTables();
  readonly #history = new PodHistory();
  readonly #node: string;
  readonly #podOfSlot: (slot: number) => FlowPod | undefined;
  readonly #listeners = new Set<() => void>();
  readonly #known = new Map<number, FlowPod>();

  constructor(node: string, podOfSlot: (slot: number) => FlowPod | undefined) {
    this.#node = node;
    this.#podOfSlot = podOfSlot;
  }

  push(events: readonly FlowEvent[], lost: number): void {
    this.ring.lost += lost;
    for (const event of events) this.ring.push(event);
    for (const listener of this.#listeners) listener();
  }

  /** A flow by its number, with names; undefined where it is gone. */
  get(number: number): Flow | undefined {
    const event = this.ring.get(number);
    if (event === undefined) return undefined;
    const podAt = (slot: number, time: number) => this.#history.find(slot, time) ?? this.#current(slot);
    return describeFlow(number, event, { node: this.#node, rules: this.ruleTables, podAt });
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

  #current(slot: number): FlowPod | undefined {
    const pod = this.#podOfSlot(slot);
    if (pod) this.#known.set(slot, pod);
    return pod;
  }
}
