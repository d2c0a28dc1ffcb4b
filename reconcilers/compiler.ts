import type { Fact } from './facts.ts';
import { parseCidr } from './net/address.ts';
import type { Output } from './output.ts';
import { Tables, Update } from './state.ts';
import { accept } from './steps/accept.ts';
import { collect } from './steps/collect.ts';
import { updateNodes, updateShared } from './steps/nodes.ts';
import { updatePods } from './steps/pods.ts';
import { replacePolicies } from './steps/policies.ts';
import { tellPolicies, tellRoutes } from './steps/tell.ts';

export interface Change {
  /** As in `Pod/shop/frontend-1`. */
  readonly key: string;
  /** All that is now known of it; empty: it is gone. */
  readonly facts: readonly Fact[];
}

/**
 * Facts to what each node holds. Keeps tables and recomputes only what the changes of an update reach; the result is
 * that of compiling the last facts at once, whatever the order, repetition or batching of what came before.
 */
export class Compiler {
  readonly #tables = new Tables();

  constructor() {
    for (const text of ['0.0.0.0/0', '::/0']) {
      const prefix = parseCidr(text);
      if (prefix !== undefined) this.#tables.addresses.dirty.set(prefix.text, prefix);
    }
  }

  /** Rows by table, to look at. */
  sizes(): Record<string, number> {
    return this.#tables.sizes();
  }

  /** One call is one atomic batch. The first says what nodes hold of an empty cluster, too. */
  update(changes: readonly Change[]): Output {
    const update = new Update(this.#tables);
    for (const { key, facts } of changes) accept(update, key, facts);
    replacePolicies(update);
    for (const pod of this.#tables.addresses.dirtyPods) update.pods.add(pod);
    this.#tables.addresses.dirtyPods.clear();
    updatePods(update);
    updateNodes(update);
    updateShared(update);
    tellPolicies(update);
    tellRoutes(update);
    collect(update);
    return update.output.build(update.visits.count);
  }
}

/** The oracle of every incremental result: the same graph, run from nothing. */
export function compileFromScratch(all: readonly Change[]): Output {
  return new Compiler().update(all);
}
