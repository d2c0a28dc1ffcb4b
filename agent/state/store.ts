export interface Upsert {
  readonly name: string;
  readonly version: string;
  readonly bytes: Uint8Array;
}

/** What the operator said last and this agent understood: name → version and encoded bytes, nothing decoded. */
export class ResourceStore {
  readonly #resources = new Map<string, Upsert>();
  #bytes = 0;

  /** Size of all resources, about as on disk. */
  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#resources.size;
  }

  get(name: string): Upsert | undefined {
    return this.#resources.get(name);
  }

  set(resource: Upsert): void {
    this.delete(resource.name);
    this.#resources.set(resource.name, resource);
    this.#bytes += sizeOf(resource);
  }

  delete(name: string): void {
    const old = this.#resources.get(name);
    if (old === undefined) return;
    this.#resources.delete(name);
    this.#bytes -= sizeOf(old);
  }

  all(): Iterable<Upsert> {
    return this.#resources.values();
  }

  /** Names that begin with a kind's prefix, as "policyset/". */
  names(prefix: string): string[] {
    return [...this.#resources.keys()].filter((name) => name.startsWith(prefix));
  }

  /** Name → version, to resume a stream. */
  versions(): Map<string, string> {
    return new Map([...this.#resources.values()].map(({ name, version }) => [name, version]));
  }
}

const sizeOf = ({ name, version, bytes }: Upsert): number => 16 + name.length + version.length + bytes.length;
