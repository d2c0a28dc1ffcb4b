import type { Condition, ConditionInput } from 'kopf-ts';
import type { SourceObject } from '../facts/collector.ts';

/** What was last written, or found, about an object. */
interface Entry {
  readonly uid: string;
  readonly generation: number;
  /** As long as this is the same there is nothing new to say. */
  readonly signature: string;
  readonly enforced: boolean;
}

/**
 * Remembers what statuses say, so that a generation gets few writes: what nodes report one after the other changes
 * the words of a condition, but only a change of a condition's status is worth a write; of references the words, too.
 */
export class StatusLedger {
  readonly #entries = new Map<string, Entry>();
  /** Since when a generation is known, in milliseconds of the monotonic clock. */
  readonly #since = new Map<string, { readonly uid: string; readonly generation: number; readonly at: number }>();

  /** Whether the object's present generation was said to be enforced already: that is never taken back. */
  isEnforced(key: string, object: SourceObject, existing: readonly Condition[]): boolean {
    const entry = this.#current(key, object);
    if (entry !== undefined) return entry.enforced;
    const { generation } = object.metadata;
    return existing.some(
      ({ type, status, observedGeneration }) =>
        type === 'Enforced' && status === 'True' && observedGeneration === generation,
    );
  }

  /** Whether `wanted` says anything that was not said of this generation yet. */
  isNews(
    key: string,
    object: SourceObject,
    existing: readonly Condition[],
    wanted: readonly ConditionInput[],
  ): boolean {
    const entry = this.#current(key, object);
    if (entry !== undefined) return entry.signature !== signatureOf(wanted);
    const { generation } = object.metadata;
    const ofGeneration = existing.filter(({ observedGeneration }) => observedGeneration === generation);
    return signatureOf(wanted) !== signatureOf(ofGeneration.filter(({ type }) => wanted.some((w) => w.type === type)));
  }

  said(key: string, object: SourceObject, conditions: readonly ConditionInput[]): void {
    const { uid = '', generation = 0 } = object.metadata;
    const enforced = conditions.some(({ type, status }) => type === 'Enforced' && status === 'True');
    this.#entries.set(key, { uid, generation, signature: signatureOf(conditions), enforced });
  }

  /** For how many milliseconds the present generation is known here. */
  age(key: string, object: SourceObject, now: number): number {
    const { uid = '', generation = 0 } = object.metadata;
    const known = this.#since.get(key);
    if (known?.uid === uid && known.generation === generation) return now - known.at;
    this.#since.set(key, { uid, generation, at: now });
    return 0;
  }

  forget(key: string): void {
    this.#entries.delete(key);
    this.#since.delete(key);
  }

  #current(key: string, object: SourceObject): Entry | undefined {
    const { uid = '', generation = 0 } = object.metadata;
    const entry = this.#entries.get(key);
    return entry?.uid === uid && entry.generation === generation ? entry : undefined;
  }
}

function signatureOf(conditions: readonly ConditionInput[]): string {
  return conditions
    .map(({ type, status, message }) =>
      type === 'ResolvedRefs' ? `${type}=${status} ${message}` : `${type}=${status}`,
    )
    .sort()
    .join();
}
