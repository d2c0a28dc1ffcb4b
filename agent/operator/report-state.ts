import type { NodeCondition, NodeReport, ResourceReport } from '@weft/node-api';
import type { Outcome } from '../state/tables.ts';

/** What the operator should know of this node; each stream takes from it what it has not sent yet. */
export class ReportState {
  readonly #resources = new Map<string, ResourceReport>();
  readonly #listeners = new Set<(names: readonly string[] | 'conditions' | 'synced') => void>();
  #conditions: readonly NodeCondition[] = [];
  #synced = false;
  readonly agentVersion: string;

  constructor(agentVersion: string) {
    this.agentVersion = agentVersion;
  }

  get synced(): boolean {
    return this.#synced;
  }

  get conditions(): readonly NodeCondition[] {
    return this.#conditions;
  }

  /** Resources with an error. */
  errors(): ResourceReport[] {
    return [...this.#resources.values()].filter(({ error }) => error !== '');
  }

  setSynced(synced: boolean): void {
    if (this.#synced === synced) return;
    this.#synced = synced;
    this.#tell('synced');
  }

  setConditions(conditions: readonly NodeCondition[]): void {
    if (JSON.stringify(conditions) === JSON.stringify(this.#conditions)) return;
    this.#conditions = conditions;
    this.#tell('conditions');
  }

  /** Only policy sets and endpoints are reported when all is well. */
  record(outcomes: readonly Outcome[]): void {
    const changed: string[] = [];
    for (const { name, version, error } of outcomes) {
      const old = this.#resources.get(name);
      const report = { name, version: version ?? '', error: error ?? '' };
      const telling = error !== undefined || (version !== undefined && /^(policyset|endpoint)\//.test(name));
      if (telling) this.#resources.set(name, report);
      else this.#resources.delete(name);
      if (telling || old !== undefined) changed.push(name);
    }
    if (changed.length > 0) this.#tell(changed);
  }

  full(): NodeReport {
    return {
      full: true,
      agentVersion: this.agentVersion,
      resources: [...this.#resources.values()],
      conditions: [...this.#conditions],
      synced: this.#synced,
    };
  }

  /** What changed since: resources by name, those that are gone with version "". */
  delta(names: Iterable<string>, conditions: boolean): NodeReport {
    return {
      full: false,
      agentVersion: '',
      resources: [...names].map((name) => this.#resources.get(name) ?? { name, version: '', error: '' }),
      conditions: conditions ? [...this.#conditions] : [],
      synced: this.#synced,
    };
  }

  subscribe(listener: (what: readonly string[] | 'conditions' | 'synced') => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(what: readonly string[] | 'conditions' | 'synced'): void {
    for (const listener of this.#listeners) listener(what);
  }
}
