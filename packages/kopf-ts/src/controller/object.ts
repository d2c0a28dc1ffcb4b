import type { KubeClient } from '../client/client.ts';
import { type Kind, type KubeObject, keyOf } from '../kind.ts';
import type { WorkContext, WorkResult } from '../queue.ts';
import type { Store } from '../store/store.ts';
import { Controller, type ControllerOptions, type Source, source } from './controller.ts';
import { addFinalizer, hasFinalizer, removeFinalizer } from './finalizer.ts';

export interface ObjectControllerOptions<T extends KubeObject>
  extends Omit<ControllerOptions, 'sources' | 'reconcile'> {
  /** The objects that are reconciled, each under its own key. */
  readonly store: Store<T>;
  /** Further sources; their keys name objects of `store`. */
  readonly also?: readonly Source[];
  /** Brings the world in line with `object`. */
  readonly reconcile: (object: T, context: WorkContext) => Promise<WorkResult | undefined>;
  /** Called when an object is gone and there was no finalizer to clean up before; must not rely on being called. */
  readonly gone?: (key: string, context: WorkContext) => Promise<void>;
  /** Keeps objects from vanishing before `cleanup` has succeeded. */
  readonly finalizer?: {
    readonly client: KubeClient;
    readonly kind: Kind<T>;
    /** Qualified name, for example `weft.dev/addresses`. */
    readonly name: string;
    /** Undoes what `reconcile` did outside the object. Runs again until it succeeds. */
    readonly cleanup: (object: T, context: WorkContext) => Promise<void>;
  };
}

/** A controller whose keys are the objects of one store. */
export function objectController<T extends KubeObject>(options: ObjectControllerOptions<T>): Controller {
  const { store, also = [], reconcile, gone, finalizer, ...rest } = options;
  return new Controller({
    ...rest,
    sources: [source(store, (object) => [keyOf(object.metadata)]), ...also],
    async reconcile(key, context) {
      const object = store.get(key);
      if (object === undefined) {
        await gone?.(key, context);
        return undefined;
      }
      if (finalizer === undefined) return reconcile(object, context);
      const { client, kind, name, cleanup } = finalizer;
      if (object.metadata.deletionTimestamp === undefined) {
        // Only after the finalizer is stored: a deletion in between would leave nobody to clean up.
        const guarded = hasFinalizer(object, name)
          ? object
          : await addFinalizer(client, kind, object, name, context.signal);
        return reconcile(guarded, context);
      }
      if (hasFinalizer(object, name)) {
        await cleanup(object, context);
        await removeFinalizer(client, kind, object, name, context.signal);
      }
      return undefined;
    },
  });
}
