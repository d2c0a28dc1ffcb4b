const newline = 0x0a;

/**
 * Splits a byte stream into lines, however its chunks were cut. Works on bytes, because a chunk may end inside a
 * UTF-8 character, while the byte 0x0A never occurs inside one.
 */
export class LineSplitter {
  readonly #maxBytes: number;
  #pending: Buffer[] = [];
  #pendingBytes = 0;

  /** @param maxBytes longest line that is accepted; etcd holds no object above 1.5 MiB, so 64 MiB is generous. */
  constructor(maxBytes = 64 * 1024 * 1024) {
    this.#maxBytes = maxBytes;
  }

  /** Whether the stream so far ends in the middle of a line. */
  get isInsideLine(): boolean {
    return this.#pendingBytes > 0;
  }

  /** The lines that `chunk` completes, without their line ends; empty lines are left out. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const line = this.#complete(chunk.subarray(start, end));
      if (line.trim() !== '') lines.push(line);
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return lines;
  }

  #complete(tail: Buffer): string {
    if (this.#pending.length === 0) return tail.toString('utf8');
    const line = Buffer.concat([...this.#pending, tail], this.#pendingBytes + tail.length).toString('utf8');
    this.#pending = [];
    this.#pendingBytes = 0;
    return line;
  }

  #keep(rest: Buffer): void {
    this.#pendingBytes += rest.length;
    if (this.#pendingBytes > this.#maxBytes) {
      throw new RangeError(`a line of the stream is longer than ${this.#maxBytes} bytes`);
    }
    this.#pending.push(rest);
  }
}
