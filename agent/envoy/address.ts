/**
 * Where a listener listens, as protobuf bytes to be put behind an encoded Listener that has no address: fields of a
 * message may be anywhere in it. Written by hand because Envoy's generated messages would cost the agent megabytes.
 */

/** Field numbers of envoy.config.listener.v3 and envoy.config.core.v3. */
const LISTENER = { address: 2, additionalAddresses: 33 } as const;
const ADDITIONAL_ADDRESS = { address: 1 } as const;
const ADDRESS = { socketAddress: 1 } as const;
const SOCKET_ADDRESS = { address: 2, portValue: 3 } as const;

/** Protobuf's wire types. */
const VARINT = 0;
const LENGTH_DELIMITED = 2;

/**
 * The fields `address` and, where pods have IPv6, `additional_addresses`. One socket for each family: a connection then
 * has the family that its packets have, and a kernel without IPv6 is asked for none.
 */
export function listenerAddress(port: number, ipv6: boolean): Uint8Array {
  const main = message(LISTENER.address, address('0.0.0.0', port));
  if (!ipv6) return main;
  const additional = message(ADDITIONAL_ADDRESS.address, address('::', port));
  return Buffer.concat([main, message(LISTENER.additionalAddresses, additional)]);
}

function address(text: string, port: number): Uint8Array {
  const socket = Buffer.concat([
    message(SOCKET_ADDRESS.address, Buffer.from(text)),
    varint((SOCKET_ADDRESS.portValue << 3) | VARINT),
    varint(port),
  ]);
  return message(ADDRESS.socketAddress, socket);
}

function message(field: number, content: Uint8Array): Buffer {
  return Buffer.concat([varint((field << 3) | LENGTH_DELIMITED), varint(content.length), content]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
