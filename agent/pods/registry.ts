/** Which pods have a network on this node: slots and addresses, on disk, so that a restart takes none away. */
import { readFileSync } from 'node:fs';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import type { LocalPod } from '../state/pod.ts';
import { Ipam, type IpamState } from './ipam.ts';

/** One attachment: a container's device. */
export interface Attachment extends LocalPod {
  readonly containerId: string;
  readonly ifName: string;
  /** Host side of the veth. */
  readonly hostIfName: string;
}

export type NewAttachment = Omit<Attachment, 'slot' | 'ipv4' | 'ipv6'>;

export const attachmentKey = (at: { containerId: string; ifName: string }): string => `${at.containerId}/${at.ifName}`;

export class Registry {
  readonly #path: string;
  readonly #slots: number;
  readonly #attachments = new Map<string, Attachment>();
  #ipam = new Ipam();
  #nextSlot = 0;

  /** @param slots pods that the datapath has room for */
  constructor(path: string, slots: number) {
    this.#path = path;
    this.#slots = slots;
  }

  /** Reads what an earlier life wrote. @returns a sentence if the file is there and can't be used */
  load(): string | undefined {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch {
      return undefined;
    }
    const state = parseState(text);
    if (state === undefined) return `${this.#path} is damaged: pods that it named keep no network until restarted`;
    for (const attachment of state.attachments) this.#attachments.set(attachmentKey(attachment), attachment);
    this.#ipam = new Ipam(state.ipam);
    this.#nextSlot = state.nextSlot;
    return undefined;
  }

  all(): Attachment[] {
    return [...this.#attachments.values()];
  }

  get(key: { containerId: string; ifName: string }): Attachment | undefined {
    return this.#attachments.get(attachmentKey(key));
  }

  /**
   * Gives an attachment its slot and addresses; the one of an earlier call with the same key keeps them.
   *
   * @throws Error with a sentence if there is no room
   */
  add(wanted: NewAttachment, cidrs: readonly string[], now: number): Attachment {
    const old = this.get(wanted);
    const addresses = old ?? this.#ipam.allocate(cidrs, this.#usedAddresses(), now);
    const attachment: Attachment = {
      ...wanted,
      slot: old?.slot ?? this.#freeSlot(),
      ...(addresses.ipv4 === undefined ? {} : { ipv4: addresses.ipv4 }),
      ...(addresses.ipv6 === undefined ? {} : { ipv6: addresses.ipv6 }),
    };
    this.#attachments.set(attachmentKey(attachment), attachment);
    this.#save(now);
    return attachment;
  }

  remove(key: { containerId: string; ifName: string }, now: number): void {
    const attachment = this.get(key);
    if (attachment === undefined) return;
    this.#attachments.delete(attachmentKey(attachment));
    for (const address of [attachment.ipv4, attachment.ipv6]) {
      if (address !== undefined) this.#ipam.release(address, now);
    }
    this.#save(now);
  }

  #usedAddresses(): Set<string> {
    return new Set(this.all().flatMap(({ ipv4, ipv6 }) => [ipv4 ?? [], ipv6 ?? []].flat()));
  }

  /** Slots go round as well: events of a pod that is gone are not taken for the next one's. */
  #freeSlot(): number {
    const taken = new Set(this.all().map(({ slot }) => slot));
    for (let i = 0; i < this.#slots; i++) {
      const slot = (this.#nextSlot + i) % this.#slots;
      if (taken.has(slot)) continue;
      this.#nextSlot = (slot + 1) % this.#slots;
      return slot;
    }
    throw new Error(`this node has ${taken.size} pods already, the most that the datapath has room for`);
  }

  #save(now: number): void {
    const state: RegistryState = {
      version: 1,
      attachments: this.all(),
      ipam: this.#ipam.state(now),
      nextSlot: this.#nextSlot,
    };
    writeFileAtomic(this.#path, JSON.stringify(state));
  }
}

interface RegistryState {
  readonly version: 1;
  readonly attachments: readonly Attachment[];
  readonly ipam: IpamState;
  readonly nextSlot: number;
}

function parseState(text: string): RegistryState | undefined {
  try {
    const state: Partial<RegistryState> = JSON.parse(text);
    const { attachments, ipam, nextSlot } = state;
    if (state.version !== 1 || !Array.isArray(attachments) || !attachments.every(isAttachment)) return undefined;
    if (typeof nextSlot !== 'number' || typeof ipam?.cursors !== 'object' || typeof ipam.released !== 'object') {
      return undefined;
    }
    return { version: 1, attachments, ipam, nextSlot };
  } catch {
    return undefined;
  }
}

function isAttachment(value: Partial<Attachment> | null): value is Attachment {
  return (
    typeof value === 'object' &&
    value !== null &&
    [value.containerId, value.ifName, value.hostIfName, value.uid, value.namespace, value.name].every(
      (field) => typeof field === 'string',
    ) &&
    Number.isInteger(value.slot) &&
    Number.isInteger(value.ifindex) &&
    [value.ipv4, value.ipv6].every((field) => field === undefined || typeof field === 'string') &&
    (value.proxy === undefined || isProxyDevice(value.proxy))
  );
}

function isProxyDevice(value: unknown): boolean {
  const { netns, ifName }: { netns?: unknown; ifName?: unknown } = Object(value);
  return typeof netns === 'string' && typeof ifName === 'string';
}
