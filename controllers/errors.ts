import { inspect, types } from 'node:util';

/** Whatever was thrown, as an Error. */
export function asError(thrown: unknown): Error {
  // Not instanceof: errors of Node's own code may be of another realm, as under jest.
  return types.isNativeError(thrown) ? thrown : new Error(typeof thrown === 'string' ? thrown : inspect(thrown));
}
