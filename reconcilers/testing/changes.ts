import { type SourceKind, translate } from '../../sources/index.ts';
import { get, text } from '../../sources/parse.ts';
import type { Change } from '../compiler.ts';
import type { Fact } from '../facts.ts';

/** One key for each object, as the operator does it. An object may also be facts as they are, under `facts`. */
export function changeOf(object: { readonly kind: SourceKind } | FactsAsTheyAre): Change {
  if ('facts' in object) return object;
  const namespace = text(get(object, 'metadata', 'namespace'));
  const name = text(get(object, 'metadata', 'name'));
  const key = [object.kind, namespace, name].filter((part) => part !== '').join('/');
  return { key, facts: translate(object.kind, object).facts };
}

interface FactsAsTheyAre {
  readonly key: string;
  readonly facts: readonly Fact[];
}
