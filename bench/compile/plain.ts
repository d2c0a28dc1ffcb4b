/** The baseline of a load: the same facts in Maps, as a controller that compiles nothing would index them. */
import type { Change, Fact } from '../../reconcilers/index.ts';

export class PlainIndex {
  readonly #facts = new Map<string, readonly Fact[]>();
  readonly #index = new Map<string, Set<Fact>>();

  /** @returns how many rows the index has */
  load(changes: Iterable<Change>): number {
    for (const { key, facts } of changes) {
      this.#facts.set(key, facts);
      for (const fact of facts) for (const term of terms(fact)) this.#add(term, fact);
    }
    return this.#facts.size + this.#index.size;
  }

  #add(term: string, fact: Fact): void {
    const facts = this.#index.get(term);
    if (facts === undefined) this.#index.set(term, new Set([fact]));
    else facts.add(fact);
  }
}

/** What one would look a fact up by. */
function terms(fact: Fact): string[] {
  switch (fact.kind) {
    case 'pod': {
      const labels = Object.entries(fact.labels).map(([key, value]) => `label ${key}=${value}`);
      return [`namespace ${fact.namespace}`, `node ${fact.node}`, ...labels, ...fact.addresses];
    }
    case 'endpoints':
      return [`service ${fact.namespace}/${fact.service}`, ...fact.endpoints.flatMap(({ addresses }) => addresses)];
    case 'service':
      return [`service ${fact.namespace}/${fact.name}`, ...fact.clusterIps];
    case 'node':
      return [`node ${fact.name}`, ...fact.addresses, ...fact.podCidrs];
    case 'namespace':
      return [`namespace ${fact.name}`];
    default:
      return [`${fact.kind} ${fact.namespace}/${fact.name}`];
  }
}
