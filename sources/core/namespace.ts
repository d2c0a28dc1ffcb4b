import type { Fact } from '../../reconcilers/facts.ts';
import { get, labels, type Problems, text } from '../parse.ts';

export function namespaceFacts(object: unknown, _problems: Problems): Fact[] {
  const name = text(get(object, 'metadata', 'name'));
  return name === '' ? [] : [{ kind: 'namespace', name, labels: labels(get(object, 'metadata', 'labels')) }];
}
