export { Backoff, type BackoffOptions } from './backoff.ts';
export { type Batch, type Changes, ResourceCache, type ResourceKey } from './cache.ts';
export { AdsClient, type AdsClientOptions, type ClientState } from './client.ts';
export { type Refusal, refusal } from './errors.ts';
export { type Resource, resource, versionOf } from './resource.ts';
export { AdsServer, type AdsServerOptions, type Authorization, adsServerOptions } from './server.ts';
export type { ClientBatch, TypeSubscription } from './session.ts';
export type { AdsCall, Answer, ConnectedClient, Standing, StreamLimits, StreamStatus, TypeStatus } from './stream.ts';
