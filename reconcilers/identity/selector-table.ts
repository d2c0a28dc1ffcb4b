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
  /** By namespace, label key and value. */
  readonly #byAnchor = new Map<string, Map<string, Map<string, Set<SelectorRecord>>>>();
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
    this.#add(record);
    return { record, created: true };
  }

  release(record: SelectorRecord): void {
    record.uses--;
  }

  /** Forgets the record if nobody uses it any more. */
  collect(record: SelectorRecord): void {
    if (record.uses > 0) return;
    this.#byKey.delete(record.key);
    this.#remove(record);
  }

  /** The selectors in use that match the pod, sorted by key. */
  match(pod: PodFact, namespaceLabels: Labels, visits: Visits): SelectorRecord[] {
    const found: SelectorRecord[] = [];
    // No strings are made here: in a large cluster this runs for a hundred thousand pods.
    for (const namespace of ['', pod.namespace]) {
      const labels = this.#byAnchor.get(namespace);
      if (labels === undefined) continue;
      look(labels.get('')?.get(''), pod, namespaceLabels, visits, found);
      for (const key in pod.labels) {
        // No label has an empty key: that is where the selectors are that require none.
        if (key !== '') look(labels.get(key)?.get(pod.labels[key] ?? ''), pod, namespaceLabels, visits, found);
      }
    }
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #add(record: SelectorRecord): void {
    for (const { namespace, key, value } of anchorsOf(record.selector)) {
      const values = within(within(this.#byAnchor, namespace), key);
      values.set(value, (values.get(value) ?? new Set()).add(record));
    }
  }

  #remove(record: SelectorRecord): void {
    for (const { namespace, key, value } of anchorsOf(record.selector)) {
      const labels = this.#byAnchor.get(namespace);
      const values = labels?.get(key);
      const bucket = values?.get(value);
      bucket?.delete(record);
      if (bucket?.size === 0) values?.delete(value);
      if (values?.size === 0) labels?.delete(key);
      if (labels?.size === 0) this.#byAnchor.delete(namespace);
    }
  }
}

/** The map at a key, made where there is none. */
function within<V>(outer: Map<string, Map<string, V>>, key: string): Map<string, V> {
  const known = outer.get(key);
  if (known !== undefined) return known;
  const inner = new Map<string, V>();
  outer.set(key, inner);
  return inner;
}

function look(
  bucket: ReadonlySet<SelectorRecord> | undefined,
  pod: PodFact,
  namespaceLabels: Labels,
  visits: Visits,
  found: SelectorRecord[],
): void {
  if (bucket === undefined) return;
  for (const record of bucket) {
    visits.count++;
    if (record.uses > 0 && selects(record.selector, pod, namespaceLabels)) found.push(record);
  }
}

/** Where a selector is looked up; '' as namespace or as key with '' as value: it requires none. */
interface Anchor {
  readonly namespace: string;
  readonly key: string;
  readonly value: string;
}

/** Every pod that the selector matches has exactly one of these. */
function anchorsOf(selector: Selector): Anchor[] {
  const namespaces = selector.find(({ scope, operator }) => scope === 'namespace' && operator === 'In')?.values ?? [''];
  const label = selector.find(({ scope, operator }) => scope === 'pod-label' && operator === 'In');
  const { key, values } = label ?? { key: '', values: [''] };
  return namespaces.flatMap((namespace) => values.map((value) => ({ namespace, key, value })));
}
