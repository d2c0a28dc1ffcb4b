import type { KubeObject } from 'kopf-ts';
import { get, list, text } from '../../sources/parse.ts';

/** What a condition of its current generation says is in the way, as that a MeshService has no Service; '' if nothing. */
export function obstacleOf(object: KubeObject): string {
  const current = list(get(object, 'status', 'conditions')).filter(
    (one) => get(one, 'status') === 'False' && get(one, 'observedGeneration') === object.metadata.generation,
  );
  const cause = ['Accepted', 'ResolvedRefs'].flatMap((type) => current.find((one) => get(one, 'type') === type) ?? []);
  return text(get(cause[0], 'message'));
}
