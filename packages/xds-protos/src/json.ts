/** Messages in Protobuf's JSON, with the fields' names as in the proto files: as Envoy's documentation and admin have it. */
import { inflateRawSync } from 'node:zlib';
import { createFileRegistry, type FileRegistry, fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { descriptors } from '../gen/descriptors.ts';

let registry: FileRegistry | undefined;

/** What is inside of an Any is shown, too. @throws Error where a type is not among those generated, or the bytes are none of it */
export function messageJson(typeUrl: string, value: Uint8Array): JsonValue {
  registry ??= createFileRegistry(
    fromBinary(FileDescriptorSetSchema, inflateRawSync(Buffer.from(descriptors, 'base64'))),
  );
  const name = typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
  const type = registry.getMessage(name);
  if (type === undefined) throw new Error(`the type ${name} is not known: add its proto file to ENVOY_PROTOS`);
  return toJson(type, fromBinary(type, value), { registry, useProtoFieldName: true });
}
