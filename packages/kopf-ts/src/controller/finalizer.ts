import type { KubeClient } from '../client/client.ts';
import { KubeError, TemporaryError } from '../errors.ts';
import { type Kind, type KubeObject, keyOf } from '../kind.ts';

/** How soon an object is looked at again that others changed in the same moment. */
const conflictDelayMs = 200;

export function hasFinalizer(object: KubeObject, name: string): boolean {
  return object.metadata.finalizers?.includes(name) ?? false;
}

/** Stores the finalizer and returns the object with it. Throws `TemporaryError` if the object changed meanwhile. */
export async function addFinalizer<T extends KubeObject>(
  client: KubeClient,
  kind: Kind<T>,
  object: T,
  name: string,
  signal?: AbortSignal,
): Promise<T> {
  return setFinalizers(client, kind, object, [...(object.metadata.finalizers ?? []), name], signal);
}

/** Removes the finalizer; an object that is gone already is no error. */
export async function removeFinalizer<T extends KubeObject>(
  client: KubeClient,
  kind: Kind<T>,
  object: T,
  name: string,
  signal?: AbortSignal,
): Promise<void> {
  const rest = (object.metadata.finalizers ?? []).filter((each) => each !== name);
  try {
    await setFinalizers(client, kind, object, rest, signal);
  } catch (error) {
    if (!(error instanceof KubeError && error.isNotFound)) throw error;
  }
}

async function setFinalizers<T extends KubeObject>(
  client: KubeClient,
  kind: Kind<T>,
  object: T,
  finalizers: readonly string[],
  signal: AbortSignal | undefined,
): Promise<T> {
  // The list is replaced whole, so the patch must fail if anyone else changed it since we read it; and uid keeps it
  // from hitting a namesake that was created after ours was deleted.
  const { resourceVersion, uid } = object.metadata;
  try {
    return await client.patch(kind, object.metadata, { metadata: { finalizers, resourceVersion, uid } }, { signal });
  } catch (error) {
    if (!(error instanceof KubeError && error.isConflict)) throw error;
    throw new TemporaryError(`${keyOf(object.metadata)} changed while its finalizers were written`, conflictDelayMs);
  }
}
