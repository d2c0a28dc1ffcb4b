interface MessageType<P, T> {
  fromPartial(object: P): T;
  encode(message: T): { finish(): Uint8Array };
}

export function serialize<P, T>(type: MessageType<P, T>, value: P): Buffer {
  return Buffer.from(type.encode(type.fromPartial(value)).finish());
}

export function typeUrl(name: string): string {
  return `type.googleapis.com/${name}`;
}

/** A message inside of a google.protobuf.Any. `name`: of its type, as envoy.config.core.v3.Node. */
export function pack<P, T>(type: MessageType<P, T>, name: string, value: P): { typeUrl: string; value: Buffer } {
  return { typeUrl: typeUrl(name), value: serialize(type, value) };
}

/** A named extension with its configuration. */
export function filter(name: string, value: ReturnType<typeof pack>) {
  return { name, configType: { $case: 'typedConfig' as const, value } };
}

export function duration(ms: number): { seconds: bigint; nanos: number } {
  const seconds = Math.floor(ms / 1000);
  return { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) };
}

/** A field that holds a message, serialized: for fields that the generated types do not know. Up to 127 bytes. */
export function field(number: number, message: Uint8Array): Buffer {
  const tag = (number << 3) | 2;
  const key = tag < 128 ? [tag] : [(tag & 127) | 128, tag >> 7];
  return Buffer.from([...key, message.length, ...message]);
}
