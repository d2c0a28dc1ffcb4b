import type { NodeResource, PolicyListener } from '@weft/node-api';
import type { PolicyDirection } from '../facts.ts';
import { routedRules, type SetRecord } from '../policy/set-table.ts';
import { resourceNames } from './names.ts';
import { listenerResource, originResource, routeResource } from './resources.ts';

/** One listener in use, on however many nodes. */
export interface ListenerRecord {
  readonly id: bigint;
  /** By name: the listener, its routes, the cluster that these name. */
  resources: ReadonlyMap<string, NodeResource>;
  /** What the routes were made of. */
  text: string;
  /** Stands for the update that made, or compared, them. */
  checked: object;
  nodes: number;
}

/** One record for equal listeners, so that nodes share what Envoy is told of them. */
export class ListenerTable {
  readonly #byId = new Map<bigint, ListenerRecord>();

  get size(): number {
    return this.#byId.size;
  }

  /** The record of a listener of the set, as the set's policies have it now. `update`: stands for the one under way. */
  current(set: SetRecord, listener: PolicyListener, update: object): ListenerRecord {
    const known = this.#byId.get(listener.id);
    if (known?.checked === update) return known;
    const rules = routedRules(set, listener);
    const text = JSON.stringify(rules);
    const record = known ?? { id: listener.id, resources: new Map(), text: '', checked: update, nodes: 0 };
    record.checked = update;
    this.#byId.set(listener.id, record);
    if (record.text === text) return record;
    const { id } = listener;
    const name = resourceNames.listener(id);
    record.text = text;
    record.resources = new Map([
      [resourceNames.cluster, originResource],
      // Its text does not depend on the rules.
      [name, record.resources.get(name) ?? listenerResource(id, directionOf(set, listener))],
      [resourceNames.route(id), routeResource(id, rules)],
    ]);
    return record;
  }

  /** One node less has it. */
  leave(record: ListenerRecord): void {
    if (--record.nodes === 0 && this.#byId.get(record.id) === record) this.#byId.delete(record.id);
  }
}

function directionOf({ compiled }: SetRecord, { rules: [first = 0] }: PolicyListener): PolicyDirection {
  return compiled.rules[first]?.source.direction ?? 'ingress';
}
