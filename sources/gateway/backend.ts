import type { RouteBackend, RouteKind } from '../../reconcilers/facts.ts';
import { get, type Problems, quote, text } from '../parse.ts';
import { fieldsOf, numberOf } from './read.ts';

/** Who refers to a backend. */
export interface Referrer {
  readonly routeKind: RouteKind;
  readonly namespace: string;
}

type Target = Omit<RouteBackend, 'weight' | 'filters'>;

const REFERENCE = ['group', 'kind', 'namespace', 'name', 'port'];

/**
 * BackendObjectReference. What can't be used is refused by itself: only the requests that it is chosen for fail. One in
 * another namespace is refused until a ReferenceGrant permits it.
 */
export function backendTarget(
  value: unknown,
  field: string,
  others: readonly string[],
  from: Referrer,
  problems: Problems,
): Target {
  fieldsOf(value, field, [...REFERENCE, ...others], problems);
  const group = get(value, 'group') ?? '';
  const kind = get(value, 'kind') ?? 'Service';
  const namespace = text(get(value, 'namespace')) || from.namespace;
  const service = text(get(value, 'name'));
  if (service === '') problems.error(`${field}.name`, 'A backend has a name.');
  const port = get(value, 'port');
  if (group !== '' || kind !== 'Service') {
    const what = group === '' ? quote(kind) : `${quote(kind)} of ${quote(group)}`;
    const message = `A backend of kind ${what} is not supported; only a core Service is.`;
    return { namespace, service, port: 0, refused: { reason: 'InvalidKind', message } };
  }
  if (port === undefined) problems.error(`${field}.port`, 'A backend that is a Service needs a port.');
  const target = { namespace, service, port: numberOf(port, [1, 65_535], 0, `${field}.port`, problems) };
  return namespace === from.namespace ? target : { ...target, refused: notPermitted(target, from) };
}

function notPermitted(to: Target, from: Referrer): NonNullable<Target['refused']> {
  const message =
    `No ReferenceGrant in namespace ${quote(to.namespace)} permits ${from.routeKind}s of namespace ` +
    `${quote(from.namespace)} to send requests to Service ${quote(to.service)}.`;
  return { reason: 'RefNotPermitted', message };
}
