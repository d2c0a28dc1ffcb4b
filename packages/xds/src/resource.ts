import { hash } from 'node:crypto';

/** One resource as xDS carries it. Treat it as frozen: many views and streams hold the same object. */
export interface Resource {
  readonly name: string;
  /** "type.googleapis.com/envoy.config.cluster.v3.Cluster" */
  readonly typeUrl: string;
  /** A hash of the content: equal on all replicas, so that a client may resume at any of them. */
  readonly version: string;
  /** The encoded message that goes into `google.protobuf.Any.value`. */
  readonly bytes: Uint8Array;
}

/** The name that subscribes to all resources of a type; no resource may have it. */
export const WILDCARD = '*';

/** Content hash: the first 128 bits of SHA-256 in base64url (22 characters). */
export function versionOf(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'base64url').slice(0, 22);
}

/** Makes a resource of an encoded message. Encode maps in sorted order, or replicas will disagree. */
export function resource(typeUrl: string, name: string, bytes: Uint8Array): Resource {
  return { name, typeUrl, version: versionOf(bytes), bytes };
}
