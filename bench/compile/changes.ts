/** Single changes to the large cluster, one after another: an object is changed, deleted, made again, and so on. */
import type { Change } from '../../reconcilers/index.ts';
import { type Generator, type SourceObject, toChange } from '../../reconcilers/testing/generator.ts';

export const changeKinds = ['pod', 'endpoint', 'policy', 'policy-everywhere'] as const;
export type ChangeKind = (typeof changeKinds)[number];

/** An object at some generation: the same number gives the same object. */
type Maker = (index: number, generation: number) => SourceObject;

/** Yields functions, so that translating the object is part of what is measured. */
export function* changes(kind: ChangeKind, generator: Generator): Sequence {
  const make = makerOf(kind, generator);
  for (let step = 0; ; step++) {
    const [index, turn] = [Math.floor(step / 3), step % 3];
    const object = make(index, turn === 0 ? 2 + (index % 5) : 1);
    if (turn === 1) {
      const { key } = toChange(object);
      yield () => ({ key, facts: [] });
    } else yield () => toChange(object);
  }
}

type Sequence = Iterable<() => Change>;

/** Neighbours in the sequence are far apart in the cluster. */
function makerOf(kind: ChangeKind, generator: Generator): Maker {
  const { pods, services, policies } = generator.size;
  if (kind === 'pod') return (i, generation) => generator.pod((i * 997) % pods, generation - 1);
  if (kind === 'endpoint') return (i, generation) => generator.endpointSlice((i * 997) % services, generation - 1);
  const everywhere = kind === 'policy-everywhere';
  const chosen = Array.from({ length: policies }, (_, i) => i).filter((i) => {
    return (generator.policy(i).kind === 'CiliumClusterwideNetworkPolicy') === everywhere;
  });
  return (i, generation) => generator.policy(chosen[(i * 997) % chosen.length] ?? 0, generation);
}
