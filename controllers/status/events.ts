import type { EventRecorder, Kind, KubeObject } from 'kopf-ts';

/** Something that a user should read about an object. */
export interface Remark {
  readonly reason: string;
  readonly note: string;
}

/** Emits each remark about an object once, and again only after it was gone in between. */
export class Remarks {
  readonly #recorder: Pick<EventRecorder, 'emit'>;
  readonly #made = new Map<string, ReadonlySet<string>>();

  constructor(recorder: Pick<EventRecorder, 'emit'>) {
    this.#recorder = recorder;
  }

  /** `remarks`: all that there is to say about the object now. */
  say(key: string, kind: Kind, object: KubeObject, remarks: readonly Remark[]): void {
    const { uid = '' } = object.metadata;
    const idOf = ({ reason, note }: Remark): string => JSON.stringify([uid, reason, note]);
    const before = this.#made.get(key);
    for (const remark of remarks) {
      if (before?.has(idOf(remark))) continue;
      this.#recorder.emit({ kind, object, type: 'Warning', action: 'Compile', ...remark });
    }
    if (remarks.length > 0) this.#made.set(key, new Set(remarks.map(idOf)));
    else this.#made.delete(key);
  }

  forget(key: string): void {
    this.#made.delete(key);
  }
}
