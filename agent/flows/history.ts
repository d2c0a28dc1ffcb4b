import type { FlowPod } from './view.ts';

interface Tenure {
  readonly slot: number;
  readonly pod: FlowPod;
  readonly until: number;
}

const KEEP = 512;

/** Pods that are gone, for events of their time. */
export class PodHistory {
  readonly #gone: Tenure[] = [];

  left(slot: number, pod: FlowPod, now: number): void {
    this.#gone.push({ slot, pod, until: now });
    if (this.#gone.length > KEEP) this.#gone.shift();
  }

  /** The pod that had the slot at that time, unless it is still there. */
  find(slot: number, time: number): FlowPod | undefined {
    return this.#gone.find((tenure) => tenure.slot === slot && time <= tenure.until)?.pod;
  }
}
