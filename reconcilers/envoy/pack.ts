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
