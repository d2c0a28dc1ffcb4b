/**
 * Which port of the proxies' network namespaces a listener has: the kernel's rows name the port, Envoy listens on it.
 * On disk, because an Envoy outlives the agent: a port that meant other rules for a moment would let the wrong ones in.
 */
import { readFileSync } from 'node:fs';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { hex64 } from '../tables/hash.ts';

/** A port stays unused this long after its listener is gone: an Envoy that is cut off may still listen there, ms. */
const REST_MS = 600_000;

interface PortState {
  readonly version: 1;
  /** The port at which the next search starts. */
  readonly next: number;
  /** Listener id as 16 hex digits → port. */
  readonly ports: Readonly<Record<string, number>>;
  /** Port → when it was given up, ms since the epoch. */
  readonly released: Readonly<Record<string, number>>;
}

export class ListenerPorts {
  readonly #path: string;
  readonly #first: number;
  readonly #last: number;
  readonly #ports = new Map<bigint, number>();
  readonly #released = new Map<number, number>();
  #next: number;
  #dirty = false;

  /** @param range both ends included */
  constructor(path: string, range: readonly [number, number]) {
    this.#path = path;
    [this.#first, this.#last] = range;
    // Whoever has forgotten which ports are in use starts somewhere else.
    this.#next = this.#first + Math.floor(Math.random() * (this.#last - this.#first + 1));
  }

  /** Reads what an earlier life wrote. */
  load(): 'loaded' | 'absent' | 'damaged' {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch {
      return 'absent';
    }
    const state = parseState(text, this.#first, this.#last);
    if (state === undefined) return 'damaged';
    for (const [id, port] of state.ports) this.#ports.set(id, port);
    for (const [port, at] of state.released) this.#released.set(port, at);
    this.#next = state.next;
    return 'loaded';
  }

  /** Undefined: none was reserved, or there was none left. */
  portOf(listener: bigint): number | undefined {
    return this.#ports.get(listener);
  }

  listeners(): IterableIterator<bigint> {
    return this.#ports.keys();
  }

  /**
   * Gives each listener a port, as far as there are any, and keeps that on disk.
   *
   * @throws Error if the file can't be written; the next call tries again
   */
  reserve(listeners: Iterable<bigint>, now: number): void {
    let taken: Set<number> | undefined;
    for (const id of listeners) {
      if (this.#ports.has(id)) continue;
      taken ??= new Set(this.#ports.values());
      const port = this.#free(taken, now);
      if (port === undefined) break;
      taken.add(port);
      this.#ports.set(id, port);
      this.#dirty = true;
    }
    this.#save(now);
  }

  /** Keeps these ports unused for a while: the kernel may point at them, and nobody knows what for. */
  avoid(ports: Iterable<number>, now: number): void {
    const own = new Set(this.#ports.values());
    for (const port of ports) if (!own.has(port)) this.#released.set(port, now);
  }

  release(listener: bigint, now: number): void {
    const port = this.#ports.get(listener);
    if (port === undefined) return;
    this.#ports.delete(listener);
    this.#released.set(port, now);
    this.#dirty = true;
    this.#save(now);
  }

  /** Round robin: the port that was used last is used again last. */
  #free(taken: ReadonlySet<number>, now: number): number | undefined {
    const count = this.#last - this.#first + 1;
    for (let i = 0; i < count; i++) {
      const port = this.#first + ((this.#next - this.#first + i) % count);
      if (taken.has(port) || this.#rests(port, now)) continue;
      this.#next = port === this.#last ? this.#first : port + 1;
      return port;
    }
    return undefined;
  }

  #rests(port: number, now: number): boolean {
    const at = this.#released.get(port);
    // A clock that was set back must not lock ports away.
    return at !== undefined && now - at < REST_MS && at <= now;
  }

  #save(now: number): void {
    if (!this.#dirty) return;
    for (const port of this.#released.keys()) if (!this.#rests(port, now)) this.#released.delete(port);
    const state: PortState = {
      version: 1,
      next: this.#next,
      ports: Object.fromEntries([...this.#ports].map(([id, port]) => [hex64(id), port])),
      released: Object.fromEntries(this.#released),
    };
    writeFileAtomic(this.#path, JSON.stringify(state));
    this.#dirty = false;
  }
}

interface ParsedState {
  readonly next: number;
  readonly ports: readonly [bigint, number][];
  readonly released: readonly [number, number][];
}

/** All or nothing: a port that two listeners share would mix up their rules. */
function parseState(text: string, first: number, last: number): ParsedState | undefined {
  const isPort = (value: unknown): value is number =>
    typeof value === 'number' && Number.isInteger(value) && value >= first && value <= last;
  try {
    const state: Partial<PortState> = JSON.parse(text);
    if (state.version !== 1 || !isPort(state.next)) return undefined;
    const ports = Object.entries(state.ports ?? {});
    const released = Object.entries(state.released ?? {}).map(([port, at]): [number, number] => [Number(port), at]);
    const sound =
      ports.every(([id, port]) => /^[0-9a-f]{16}$/.test(id) && isPort(port)) &&
      new Set(ports.map(([, port]) => port)).size === ports.length &&
      released.every(([port, at]) => isPort(port) && Number.isFinite(at));
    if (!sound) return undefined;
    return { next: state.next, ports: ports.map(([id, port]) => [BigInt(`0x${id}`), port]), released };
  } catch {
    return undefined;
  }
}
