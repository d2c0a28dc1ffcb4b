export { type BackoffOptions, backoffDelay, reconcileBackoff, watchBackoff } from './backoff.ts';
export {
  type ApplyOptions,
  type ClientOptions,
  KubeClient,
  type ListOptions,
  type Page,
  type RequestOptions,
  type Selection,
  type WatchOptions,
  type WriteOptions,
} from './client/client.ts';
export { serviceAccountConfig } from './client/credentials.ts';
export type { Json } from './client/status.ts';
export type { WatchEvent } from './client/watch-stream.ts';
export { type Clock, type Random, sleep, systemClock } from './clock.ts';
export { type Condition, type ConditionInput, conditionsOf, nextConditions } from './controller/conditions.ts';
export {
  Controller,
  type ControllerOptions,
  type Inherited,
  manualSource,
  type Source,
  source,
} from './controller/controller.ts';
export { addFinalizer, hasFinalizer, removeFinalizer } from './controller/finalizer.ts';
export { type ObjectControllerOptions, objectController } from './controller/object.ts';
export { type DesiredStatus, StatusWriter, type StatusWriterOptions } from './controller/status.ts';
export {
  type Failure,
  KubeError,
  logFailure,
  type OnError,
  PermanentError,
  type Step,
  TemporaryError,
} from './errors.ts';
export { type EventInput, EventRecorder, type EventRecorderOptions } from './events.ts';
export {
  apiVersion,
  defineKind,
  type Kind,
  type KindInit,
  type KubeObject,
  keyOf,
  kindName,
  type ObjectMeta,
  type ObjectRef,
  type OwnerReference,
  refOf,
} from './kind.ts';
export { LeaderElection, type LeaderElectionOptions, type Leadership, type Lease, leaseKind } from './lease.ts';
export { Operator, type OperatorOptions, type Placement, run, type Service } from './operator.ts';
export { type WorkContext, WorkQueue, type WorkQueueOptions, type WorkResult } from './queue.ts';
export { RateLimit } from './rate-limit.ts';
export {
  type Change,
  type ChangeSet,
  createStore,
  type Entry,
  type Listener,
  type Store,
  type StoreOptions,
  type StoreWriter,
} from './store/store.ts';
export { StoreIndex } from './store/store-index.ts';
export { structurallyEqual, withoutManagedFields } from './store/transform.ts';
export type { WatchState } from './watch/state.ts';
export { Watcher, type WatcherOptions, type WatcherStats } from './watch/watcher.ts';
