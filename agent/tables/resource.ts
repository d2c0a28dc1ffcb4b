/** Resources as the operator sends them → checked messages. */
import { NodeResource } from '@weft/node-api';

export type Resource = NonNullable<NodeResource['resource']>;

/** What is wrong with a resource, as a sentence for the operator's users. */
export class ResourceError extends Error {
  override readonly name = 'ResourceError';
}

/**
 * @throws ResourceError where the bytes are not a NodeResource, or one of another name
 */
export function decodeResource(name: string, bytes: Uint8Array): Resource {
  let resource: Resource | undefined;
  try {
    resource = NodeResource.decode(bytes).resource;
  } catch (error) {
    throw new ResourceError(`${name} can't be decoded: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (resource === undefined) throw new ResourceError(`${name} is of a kind that this agent does not know`);
  const prefix = KIND_PREFIX[resource.$case];
  if (!name.startsWith(prefix)) throw new ResourceError(`${name} holds a ${resource.$case}`);
  return resource;
}

const KIND_PREFIX = {
  node: 'node/',
  service: 'service/',
  endpoint: 'endpoint/',
  policySet: 'policyset/',
  address: 'address/',
  envoy: 'envoy/',
} as const satisfies Record<Resource['$case'], string>;
