import { type SourceKind, translate } from '../../sources/index.ts';
import { get, text } from '../../sources/parse.ts';
import type { Change } from '../compiler.ts';

/** One key for each object, as the operator does it. */
export function changeOf(object: { readonly kind: SourceKind }): Change {
  const namespace = text(get(object, 'metadata', 'namespace'));
  const name = text(get(object, 'metadata', 'name'));
  const key = [object.kind, namespace, name].filter((part) => part !== '').join('/');
  return { key, facts: translate(object.kind, object).facts };
}
