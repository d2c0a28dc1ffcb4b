import type { Labels, PodFact, Requirement, Selector } from '../facts.ts';

/** Equal for selectors that are written differently but require the same. */
export function selectorKey(selector: Selector): string {
  return JSON.stringify(canonical(selector).map(requirementKey).sort());
}

export function requirementKey({ scope, key, operator, values }: Requirement): string {
  return `${scope}:${key} ${operator} ${JSON.stringify(values)}`;
}

/** Without duplicates. */
export function canonical(selector: Selector): Requirement[] {
  const unique = new Map(selector.map((requirement) => [requirementKey(requirement), requirement]));
  return [...unique.values()];
}

export function selects(selector: Selector, pod: PodFact, namespaceLabels: Labels): boolean {
  return selector.every((requirement) => holds(requirement, pod, namespaceLabels));
}

/** Whether pods of that namespace can match: only what the namespace decides is looked at. */
export function selectsNamespace(selector: Selector, namespace: string, labels: Labels): boolean {
  return selector.every((requirement) => {
    if (requirement.scope === 'namespace') return compare(requirement, namespace);
    return requirement.scope !== 'namespace-label' || compare(requirement, label(labels, requirement.key));
  });
}

function holds(requirement: Requirement, pod: PodFact, namespaceLabels: Labels): boolean {
  switch (requirement.scope) {
    case 'pod-label':
      return compare(requirement, label(pod.labels, requirement.key));
    case 'namespace-label':
      return compare(requirement, label(namespaceLabels, requirement.key));
    case 'namespace':
      return compare(requirement, pod.namespace);
    case 'service-account':
      return compare(requirement, pod.serviceAccount);
  }
}

function compare({ operator, values }: Requirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

function label(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}
