import { everyPort, type PolicyDirection, type PolicyRule } from '../reconcilers/facts.ts';

/** The rule that stands in for what is not understood. */
export function denyAll(direction: PolicyDirection, index: number, reason: string): PolicyRule {
  return { direction, deny: true, index, peers: [{ kind: 'entity', entity: 'all' }], ports: everyPort, reason };
}
