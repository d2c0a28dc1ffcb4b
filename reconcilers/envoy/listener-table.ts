import type { NodeResource, PolicyListener } from '@weft/node-api';
import type { PolicyDirection } from '../facts.ts';
import type { PolicyRecord } from '../policy/policy-table.ts';
import { routedRules, type SetRecord } from '../policy/set-table.ts';
import { resourceNames } from './names.ts';
import { listenerResource, originResource, routeResource } from './resources.ts';
import { fitting } from './routes.ts';

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
  /** Policies of which it does not hold all rules. */
  crowding: ReadonlySet<PolicyRecord>;
}

/** The update under way. */
export interface ListenerContext {
  readonly visits: object;
  /** Policies whose state may have to be told again. */
  readonly concerned: Set<PolicyRecord>;
}

/** One record for equal listeners, so that nodes share what Envoy is told of them. */
export class ListenerTable {
  readonly #byId = new Map<bigint, ListenerRecord>();

  get size(): number {
    return this.#byId.size;
  }

  /** The record of a listener of the set, as the set's policies have it now. */
  current(set: SetRecord, listener: PolicyListener, context: ListenerContext): ListenerRecord {
    const known = this.#byId.get(listener.id);
    const update = context.visits;
    if (known?.checked === update) return known;
    const rules = routedRules(set, listener);
    const text = JSON.stringify(rules);
    const record = known ?? {
      id: listener.id,
      resources: new Map(),
      text: '',
      checked: update,
      nodes: 0,
      crowding: NOBODY,
    };
    record.checked = update;
    this.#byId.set(listener.id, record);
    if (record.text === text) return record;
    const { id } = listener;
    const name = resourceNames.listener(id);
    record.text = text;
    const { held, left } = fitting(rules);
    const crowded = new Set(left.map(({ policy }) => policy));
    crowd(record, new Set([...set.policies].filter(({ key }) => crowded.has(key))), context);
    record.resources = new Map([
      [resourceNames.cluster, originResource],
      // Its text does not depend on the rules.
      [name, record.resources.get(name) ?? listenerResource(id, directionOf(set, listener))],
      [resourceNames.route(id), routeResource(id, held)],
    ]);
    return record;
  }

  /** One node less has it. */
  leave(record: ListenerRecord, context: ListenerContext): void {
    if (--record.nodes > 0) return;
    crowd(record, NOBODY, context);
    this.#byId.delete(record.id);
  }
}

const NOBODY: ReadonlySet<PolicyRecord> = new Set();

function crowd(record: ListenerRecord, policies: ReadonlySet<PolicyRecord>, { concerned }: ListenerContext): void {
  for (const policy of policies.symmetricDifference(record.crowding)) {
    if (policies.has(policy)) policy.crowded.add(record.id);
    else policy.crowded.delete(record.id);
    policy.version++;
    concerned.add(policy);
  }
  record.crowding = policies;
}

function directionOf({ compiled }: SetRecord, { rules: [first = 0] }: PolicyListener): PolicyDirection {
  return compiled.rules[first]?.source.direction ?? 'ingress';
}
