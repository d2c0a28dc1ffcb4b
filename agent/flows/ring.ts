/** The last flow events of the kernel, in memory that is allocated once; the oldest give way. */
import type { FlowEvent } from 'bpf-loader-napi';
import { addressText, parseAddress } from '../tables/address.ts';

const RECORD = 144;
const NUMBER = 112;
const TYPES = ['new', 'drop', 'revoked', 'closed'] as const;
const FLAG = {
  egress: 1,
  reply: 2,
  service: 4,
  sourceSlot: 8,
  destinationSlot: 16,
  egressSet: 32,
  ingressSet: 64,
} as const;
const MAPPED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255);
const NO_RULE = 0xffff;

export class FlowRing {
  readonly #memory: Buffer;
  readonly #capacity: number;
  readonly #reasons: string[] = [];
  readonly #reasonIds = new Map<string, number>();
  #written = 0;
  /** Events that the kernel had no room for, or that came too fast for this process. */
  lost = 0;

  constructor(bytes = 4 << 20) {
    this.#capacity = Math.max(1, Math.floor(bytes / RECORD));
    this.#memory = Buffer.alloc(this.#capacity * RECORD);
  }

  /** Index of the next event; indexes grow by one, whatever is still held. */
  get end(): number {
    return this.#written;
  }

  /** Index of the oldest event that is held. */
  get start(): number {
    return Math.max(0, this.#written - this.#capacity);
  }

  /** @param number that the event has among all flows */
  push(event: FlowEvent, number: number): void {
    const record = this.#at(this.#written);
    this.#encode(record, event);
    record.writeDoubleLE(number, NUMBER);
    this.#written++;
  }

  /** The event with this index; undefined if it is gone or yet to come. */
  get(index: number): FlowEvent | undefined {
    return index >= this.start && index < this.#written ? this.#decode(this.#at(index)) : undefined;
  }

  /** The number of the event with this index, which must be held. */
  numberOf(index: number): number {
    return this.#at(index).readDoubleLE(NUMBER);
  }

  #at(index: number): Buffer {
    const at = (index % this.#capacity) * RECORD;
    return this.#memory.subarray(at, at + RECORD);
  }

  #encode(record: Buffer, event: FlowEvent): void {
    record.fill(0);
    record.writeDoubleLE(event.time, 0);
    writeAddress(record, 8, event.source);
    writeAddress(record, 24, event.destination);
    if (event.service !== undefined) writeAddress(record, 40, event.service);
    record.writeUInt16LE(event.sourcePort, 56);
    record.writeUInt16LE(event.destinationPort, 58);
    record.writeUInt16LE(event.servicePort ?? 0, 60);
    record.writeUInt8(event.protocol, 62);
    record.writeUInt8(TYPES.indexOf(event.type), 63);
    record.writeUInt8(this.#reasonId(event.reason), 64);
    record.writeUInt8(flagsOf(event), 65);
    record.writeUInt16LE(event.egressRule ?? NO_RULE, 66);
    record.writeUInt16LE(event.ingressRule ?? NO_RULE, 68);
    record.writeUInt32LE(event.sourceSlot ?? 0, 72);
    record.writeUInt32LE(event.destinationSlot ?? 0, 76);
    record.writeBigUInt64LE(event.egressSet ?? 0n, 80);
    record.writeBigUInt64LE(event.ingressSet ?? 0n, 88);
    record.writeDoubleLE(event.packets, 96);
    record.writeDoubleLE(event.bytes, 104);
  }

  #decode(record: Buffer): FlowEvent {
    const flags = record.readUInt8(65);
    const has = (flag: number): boolean => (flags & flag) !== 0;
    const egressRule = record.readUInt16LE(66);
    const ingressRule = record.readUInt16LE(68);
    return {
      time: record.readDoubleLE(0),
      type: TYPES[record.readUInt8(63)] ?? 'new',
      reason: this.#reasons[record.readUInt8(64)] ?? 'unknown',
      direction: has(FLAG.egress) ? 'egress' : 'ingress',
      protocol: record.readUInt8(62),
      source: readAddress(record, 8),
      sourcePort: record.readUInt16LE(56),
      destination: readAddress(record, 24),
      destinationPort: record.readUInt16LE(58),
      reply: has(FLAG.reply),
      packets: record.readDoubleLE(96),
      bytes: record.readDoubleLE(104),
      ...(has(FLAG.service) ? { service: readAddress(record, 40), servicePort: record.readUInt16LE(60) } : {}),
      ...(has(FLAG.sourceSlot) ? { sourceSlot: record.readUInt32LE(72) } : {}),
      ...(has(FLAG.destinationSlot) ? { destinationSlot: record.readUInt32LE(76) } : {}),
      ...(has(FLAG.egressSet) ? { egressSet: record.readBigUInt64LE(80) } : {}),
      ...(has(FLAG.ingressSet) ? { ingressSet: record.readBigUInt64LE(88) } : {}),
      ...(egressRule === NO_RULE ? {} : { egressRule }),
      ...(ingressRule === NO_RULE ? {} : { ingressRule }),
    };
  }

  #reasonId(reason: string): number {
    const known = this.#reasonIds.get(reason);
    if (known !== undefined) return known;
    const id = Math.min(this.#reasons.length, 255);
    this.#reasons[id] = reason;
    this.#reasonIds.set(reason, id);
    return id;
  }
}

function flagsOf(event: FlowEvent): number {
  return (
    (event.direction === 'egress' ? FLAG.egress : 0) |
    (event.reply ? FLAG.reply : 0) |
    (event.service === undefined ? 0 : FLAG.service) |
    (event.sourceSlot === undefined ? 0 : FLAG.sourceSlot) |
    (event.destinationSlot === undefined ? 0 : FLAG.destinationSlot) |
    (event.egressSet === undefined ? 0 : FLAG.egressSet) |
    (event.ingressSet === undefined ? 0 : FLAG.ingressSet)
  );
}

function writeAddress(record: Buffer, at: number, text: string): void {
  const bytes = parseAddress(text);
  if (bytes?.length === 4) {
    record.set(MAPPED, at);
    record.set(bytes, at + 12);
  } else if (bytes) record.set(bytes, at);
}

function readAddress(record: Buffer, at: number): string {
  const bytes = record.subarray(at, at + 16);
  return addressText(MAPPED.every((byte, i) => byte === bytes[i]) ? bytes.subarray(12) : bytes);
}
