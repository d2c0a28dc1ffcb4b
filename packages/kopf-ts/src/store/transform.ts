import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../kind.ts';

/** The object without `metadata.managedFields`, which is often more than half of it and which no operator reads. */
export function withoutManagedFields<T extends KubeObject>(object: T): T {
  if (!('managedFields' in object.metadata)) return object;
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** For `same`: trimmed objects that are equal make no change, however often the API server rewrites the rest. */
export function structurallyEqual(before: unknown, after: unknown): boolean {
  return isDeepStrictEqual(before, after);
}
