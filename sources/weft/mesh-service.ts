import type { Fact } from '../../reconcilers/facts.ts';
import { get, integer, type Problems, quote, text } from '../parse.ts';

const DEFAULT_AFFINITY_SECONDS = 10_800;

/** Concerns the Service of the same namespace and name. */
export function meshServiceFacts(object: unknown, problems: Problems): Fact[] {
  const algorithm = get(object, 'spec', 'loadBalancing', 'algorithm') ?? 'Random';
  if (algorithm !== 'Random' && algorithm !== 'Maglev') {
    problems.error(
      'spec.loadBalancing.algorithm',
      `${quote(algorithm)} is not known; use Random or Maglev. Random is used until then.`,
    );
  }
  const type = get(object, 'spec', 'affinity', 'type') ?? 'None';
  if (type !== 'None' && type !== 'ClientIP') {
    problems.error('spec.affinity.type', `${quote(type)} is not known; use None or ClientIP. None is used until then.`);
  }
  const seconds = get(object, 'spec', 'affinity', 'timeoutSeconds') ?? DEFAULT_AFFINITY_SECONDS;
  if (integer(seconds, 1, 86_400, 0) === 0) {
    problems.error('spec.affinity.timeoutSeconds', `${quote(seconds)} is not between 1 and 86400; 10800 is used.`);
  }
  return [
    {
      kind: 'meshService',
      namespace: text(get(object, 'metadata', 'namespace')),
      name: text(get(object, 'metadata', 'name')),
      algorithm: algorithm === 'Maglev' ? 'Maglev' : 'Random',
      affinitySeconds: type === 'ClientIP' ? integer(seconds, 1, 86_400, DEFAULT_AFFINITY_SECONDS) : 0,
    },
  ];
}
