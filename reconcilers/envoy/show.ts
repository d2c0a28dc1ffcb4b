/** What Envoy is told, to look at. */
import { messageJson } from '@envoyproxy/xds-protos/json.ts';
import type { NodeResource } from '@weft/node-api';

/** A resource of Envoy's. */
export interface ShownResource {
  /** As envoy.config.listener.v3.Listener. */
  readonly type: string;
  readonly name: string;
  /** The message in Protobuf's JSON, what an Any holds included; fields are named as in Envoy's documentation. */
  readonly config: unknown;
}

/** undefined: it is not for Envoy. */
export function showEnvoy({ resource }: NodeResource): ShownResource | undefined {
  if (resource?.$case !== 'envoy') return undefined;
  const { typeUrl, name, value } = resource.value;
  return { type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1), name, config: messageJson(typeUrl, value) };
}
