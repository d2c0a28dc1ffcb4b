import type { BackendSetRow, ServiceRow, Step } from 'bpf-loader-napi';

export interface ServiceChange {
  /** Frontends that are new or point elsewhere. */
  readonly upserts: readonly ServiceRow[];
  readonly deletes: readonly ServiceRow[];
  /** Backend sets that are not there yet. */
  readonly backends: readonly BackendSetRow[];
  /** Backend sets that no frontend refers to any more. */
  readonly unused: readonly BackendSetRow[];
}

/** A frontend never points at a backend set that is not complete: sets first, then frontends, then what is unused. */
export function planServices({ upserts, deletes, backends, unused }: ServiceChange): Step[] {
  const steps: Step[] = [
    { op: 'upsert', rows: backends },
    { op: 'upsert', rows: upserts },
    { op: 'delete', rows: deletes },
    { op: 'delete', rows: unused },
  ];
  return steps.filter((step) => step.op === 'bump' || step.rows.length > 0);
}
