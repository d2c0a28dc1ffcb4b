import { type Address, addressBytes } from './address.ts';

/** The bytes of addresses, each kept once as long as it is in recent use: resources share them. */
export class AddressBytes {
  #young = new Map<Address, Buffer>();
  #old = new Map<Address, Buffer>();
  readonly #limit: number;

  /** @param limit how many addresses a generation holds, of two */
  constructor(limit = 500_000) {
    this.#limit = limit;
  }

  of(address: Address): Buffer {
    const known = this.#young.get(address) ?? this.#old.get(address);
    const bytes = known ?? addressBytes(address) ?? Buffer.alloc(4);
    if (this.#young.size >= this.#limit) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(address, bytes);
    return bytes;
  }
}
