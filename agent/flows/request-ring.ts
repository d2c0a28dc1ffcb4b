/** The last requests, in memory that is allocated once, with the first of them; the oldest give way. */
import type { RequestEvent } from './request.ts';

const MAX_RECORDS = 16_384;

export class RequestRing {
  readonly #bytes: number;
  #memory: Buffer | undefined;
  /** Of record i, at i modulo their length. */
  #places = new Uint32Array(0);
  #lengths = new Uint32Array(0);
  #numbers = new Float64Array(0);
  #next = 0;
  #start = 0;
  #end = 0;
  /** Records that were dropped on the way here, or are not understood. */
  lost = 0;

  constructor(bytes = 2 << 20) {
    this.#bytes = bytes;
  }

  /** Index of the next record; indexes grow by one, whatever is still held. */
  get end(): number {
    return this.#end;
  }

  /** Index of the oldest record that is held. */
  get start(): number {
    return this.#start;
  }

  /** @param number that the request has among all flows */
  push(record: RequestEvent, number: number): void {
    const memory = this.#allocated();
    const text = encode(record);
    const length = Buffer.byteLength(text);
    if (length > this.#bytes) {
      this.lost++;
      return;
    }
    if (this.#next + length > this.#bytes) {
      // What stands between here and the end of the memory is the oldest.
      while (this.#start < this.#end && this.#place(this.#start) >= this.#next) this.#start++;
      this.#next = 0;
    }
    const end = this.#next + length;
    const isInTheWay = (place: number): boolean => place >= this.#next && place < end;
    while (
      this.#start < this.#end &&
      (this.#end - this.#start >= MAX_RECORDS || isInTheWay(this.#place(this.#start)))
    ) {
      this.#start++;
    }
    memory.write(text, this.#next);
    const at = this.#end % MAX_RECORDS;
    this.#places[at] = this.#next;
    this.#lengths[at] = length;
    this.#numbers[at] = number;
    this.#next = end;
    this.#end++;
  }

  /** The record with this index; undefined if it is gone or yet to come. */
  get(index: number): RequestEvent | undefined {
    if (this.#memory === undefined || index < this.#start || index >= this.#end) return undefined;
    const place = this.#place(index);
    return decode(this.#memory.toString('utf8', place, place + (this.#lengths[index % MAX_RECORDS] ?? 0)));
  }

  /** The number of the record with this index, which must be held. */
  numberOf(index: number): number {
    return this.#numbers[index % MAX_RECORDS] ?? 0;
  }

  #place(index: number): number {
    return this.#places[index % MAX_RECORDS] ?? 0;
  }

  #allocated(): Buffer {
    if (this.#memory === undefined) {
      this.#memory = Buffer.alloc(this.#bytes);
      this.#places = new Uint32Array(MAX_RECORDS);
      this.#lengths = new Uint32Array(MAX_RECORDS);
      this.#numbers = new Float64Array(MAX_RECORDS);
    }
    return this.#memory;
  }
}

const encode = (record: RequestEvent): string => JSON.stringify({ ...record, listener: record.listener.toString() });

function decode(text: string): RequestEvent {
  const stored: Omit<RequestEvent, 'listener'> & { listener: string } = JSON.parse(text);
  return { ...stored, listener: BigInt(stored.listener) };
}
