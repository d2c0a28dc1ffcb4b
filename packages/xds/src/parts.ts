/** Splits a large update into responses of bounded size, and puts them together again. */
import type { Resource } from './resource.ts';
import type { Delta } from './subscription.ts';

/** Where a response stands in its update; travels as `system_version_info`, "<revision>/<part>/<parts>". */
export interface Position {
  readonly revision: string;
  /** From 1 to `parts`. */
  readonly part: number;
  readonly parts: number;
}

export const formatPosition = ({ revision, part, parts }: Position): string => `${revision}/${part}/${parts}`;

/** Reads a position; a server that does not split its updates has none, and each response stands alone. */
export function parsePosition(text: string): Position {
  const match = /^([^/]*)\/([1-9]\d{0,8})\/([1-9]\d{0,8})$/.exec(text);
  const [part, parts] = [Number(match?.[2] ?? 1), Number(match?.[3] ?? 1)];
  if (match === null || part > parts) return { revision: text, part: 1, parts: 1 };
  return { revision: match[1] ?? '', part, parts };
}

/** Name, version, type URL and their protobuf tags, generously. */
const OVERHEAD_BYTES = 64;
const upsertSize = ({ bytes, name, typeUrl }: Resource): number =>
  bytes.length + name.length + typeUrl.length + OVERHEAD_BYTES;

/** Splits a delta into at least one part of at most `maxBytes` each; a resource larger than that goes alone. */
export function splitDelta({ upserts, removes }: Delta, maxBytes: number): Delta[] {
  const parts: { upserts: Resource[]; removes: string[] }[] = [{ upserts: [], removes: [] }];
  let size = 0;
  const partFor = (bytes: number): { upserts: Resource[]; removes: string[] } => {
    let last = parts.at(-1);
    if (last === undefined || (size > 0 && size + bytes > maxBytes)) {
      last = { upserts: [], removes: [] };
      parts.push(last);
      size = 0;
    }
    size += bytes;
    return last;
  };
  for (const upsert of upserts) partFor(upsertSize(upsert)).upserts.push(upsert);
  for (const name of removes) partFor(name.length + 4).removes.push(name);
  return parts;
}

/** A response as far as `Assembler` needs to know it. */
export interface Part {
  readonly typeUrl: string;
  readonly position: Position;
  readonly nonce: string;
  readonly upserts: readonly Resource[];
  readonly removes: readonly string[];
}

/** All parts of one update. */
export interface Update {
  readonly typeUrl: string;
  readonly nonces: readonly string[];
  readonly upserts: readonly Resource[];
  readonly removes: readonly string[];
}

/** Collects the parts of one type's updates. */
export class Assembler {
  #parts: Part[] = [];
  #bytes = 0;
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Adds a part; gives the whole update with the last one.
   *
   * @throws Error if parts are missing, mixed up, or together larger than allowed
   */
  add(part: Part): Update | undefined {
    const { part: index, parts: count, revision } = part.position;
    const before = this.#parts.at(-1)?.position;
    const follows = before === undefined || (before.revision === revision && before.parts === count);
    if (index !== this.#parts.length + 1 || !follows) {
      const got = formatPosition(part.position);
      const after = before === undefined ? 'at the start of an update' : `after ${formatPosition(before)}`;
      throw new Error(`part ${got} of ${part.typeUrl} came ${after}`);
    }
    this.#parts.push(part);
    this.#bytes += OVERHEAD_BYTES;
    for (const upsert of part.upserts) this.#bytes += upsertSize(upsert);
    for (const name of part.removes) this.#bytes += name.length;
    if (this.#bytes > this.#maxBytes) {
      throw new Error(`an update of ${part.typeUrl} is larger than ${this.#maxBytes} bytes`);
    }
    if (index < count) return undefined;
    const parts = this.#parts;
    this.#parts = [];
    this.#bytes = 0;
    return {
      typeUrl: part.typeUrl,
      nonces: parts.map(({ nonce }) => nonce),
      upserts: parts.flatMap(({ upserts }) => upserts),
      removes: parts.flatMap(({ removes }) => removes),
    };
  }
}
