import type { Requirement } from '../../reconcilers/facts.ts';

/** Holds for the pods of that namespace. */
export function namespaceIs(namespace: string): Requirement {
  return { scope: 'namespace', key: '', operator: 'In', values: [namespace] };
}
