import type { Labels, PodFact, Selector } from '../facts.ts';
import type { CompiledPart } from '../policy/policy-table.ts';
import type { NodeRecord, PodRecord } from '../records.ts';
import type { Visits } from '../visits.ts';
import { canonical, selectorKey, selects } from './selector.ts';

/** One selector in use, however many policies have written it. */
export interface SelectorRecord {
  /** Of this process only; nothing that leaves the compiler depends on it. */
  readonly serial: number;
  readonly key: string;
  readonly selector: Selector;
  /** The pods that it matches. */
  readonly members: Set<PodRecord>;
  /** Those whose subject it is. */
  readonly parts: Set<CompiledPart>;
  /** Nodes where it is a peer of some policy set; with those that stopped in the current update. */
  readonly nodes: Set<NodeRecord>;
  uses: number;
}

/**
 * Selectors, found through the one label (with the namespace, where it requires one) that each anchors on, so that a
 * pod meets only selectors that name one of its labels.
 */
export class SelectorTable {
  readonly #byKey = new Map<string, SelectorRecord>();
  readonly #byAnchor = new Map<string, Set<SelectorRecord>>();
  #serials = 0;

  get size(): number {
    return this.#byKey.size + this.#byAnchor.size;
  }

  /** @returns the record, and whether it is new: then nobody has looked for its members yet. */
  acquire(selector: Selector): { record: SelectorRecord; created: boolean } {
    const key = selectorKey(selector);
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      known.uses++;
      return { record: known, created: false };
    }
    const record: SelectorRecord = {
      serial: this.#serials++,
      key,
      selector: canonical(selector),
      members: new Set(),
      parts: new Set(),
      nodes: new Set(),
      uses: 1,
    };
    this.#byKey.set(key, record);
    for (const anchor of anchorsOf(record.selector)) this.#bucket(anchor).add(record);
    return { record, created: true };
  }

  release(record: SelectorRecord): void {
    record.uses--;
  }

  /** Forgets the record if nobody uses it any more. */
  collect(record: SelectorRecord): void {
    if (record.uses > 0) return;
    this.#byKey.delete(record.key);
    for (const anchor of anchorsOf(record.selector)) {
      const bucket = this.#byAnchor.get(anchor);
      bucket?.delete(record);
      if (bucket?.size === 0) this.#byAnchor.delete(anchor);
    }
  }

  /** The selectors in use that match the pod, sorted by key. */
  match(pod: PodFact, namespaceLabels: Labels, visits: Visits): SelectorRecord[] {
    const found: SelectorRecord[] = [];
    const look = (anchor: string): void => {
      for (const record of this.#byAnchor.get(anchor) ?? []) {
        visits.count++;
        if (record.uses > 0 && selects(record.selector, pod, namespaceLabels)) found.push(record);
      }
    };
    look('');
    look(`${pod.namespace}|`);
    for (const key of Object.keys(pod.labels)) {
      const atom = `|${key}=${pod.labels[key]}`;
      look(atom);
      look(pod.namespace + atom);
    }
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #bucket(anchor: string): Set<SelectorRecord> {
    let bucket = this.#byAnchor.get(anchor);
    if (bucket === undefined) {
      bucket = new Set();
      this.#byAnchor.set(anchor, bucket);
    }
    return bucket;
  }
}

/** Every pod that the selector matches has exactly one of these atoms. */
function anchorsOf(selector: Selector): string[] {
  const namespaces = selector.find(({ scope, operator }) => scope === 'namespace' && operator === 'In');
  const label = selector.find(({ scope, operator }) => scope === 'pod-label' && operator === 'In');
  const atoms = label === undefined ? undefined : label.values.map((value) => `|${label.key}=${value}`);
  if (namespaces === undefined) return atoms ?? [''];
  return namespaces.values.flatMap((name) => (atoms ?? ['|']).map((atom) => name + atom));
}
