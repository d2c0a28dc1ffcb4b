import type { RefusedParent, RouteParent } from '../../reconcilers/facts.ts';
import { get, isPort, isRecord, list, type Problems, quote, text, unknownFields } from '../parse.ts';

export interface Attachment {
  readonly parents: readonly RouteParent[];
  readonly refused: readonly RefusedParent[];
}

/** `spec.parentRefs` of the Gateway API as far as they name core Services; the others are other controllers'. */
export function serviceParents(refs: unknown, namespace: string, problems: Problems): Attachment {
  const parents: RouteParent[] = [];
  const refused: RefusedParent[] = [];
  for (const [index, ref] of list(refs).entries()) {
    if (!isServiceParent(ref)) continue;
    const field = `spec.parentRefs[${index}]`;
    const message = unsupported(ref, namespace);
    if (message !== undefined) {
      problems.error(field, message);
      refused.push({ index, reason: 'UnsupportedValue', message });
      continue;
    }
    const port = get(ref, 'port');
    parents.push({
      index,
      namespace,
      service: text(get(ref, 'name')),
      port: isPort(port) ? port : undefined,
    });
  }
  return { parents, refused };
}

/** Whether an entry of `parentRefs` is this controller's. */
export function isServiceParent(ref: unknown): boolean {
  return get(ref, 'group') === '' && get(ref, 'kind') === 'Service';
}

function unsupported(ref: unknown, namespace: string): string | undefined {
  const theirs = get(ref, 'namespace') ?? namespace;
  if (theirs !== namespace) {
    return (
      `A route for clients of its own namespace only (a consumer route) is not supported; put the route into the ` +
      `namespace ${quote(theirs)} of the Service, where it is for all clients.`
    );
  }
  if (get(ref, 'sectionName') !== undefined) {
    return "A port's name (sectionName) is not supported; write its number as port.";
  }
  if (text(get(ref, 'name')) === '') return 'A parent has a name.';
  const port = get(ref, 'port');
  if (port !== undefined && !isPort(port)) return `${quote(port)} is not a port between 1 and 65535.`;
  const [unknown] = isRecord(ref) ? unknownFields(ref, ['group', 'kind', 'namespace', 'name', 'port']) : [];
  return unknown === undefined ? undefined : `The field ${quote(unknown)} is not supported.`;
}
