import type { Row, RowError, Step } from 'bpf-loader-napi';

/** A row that the kernel did not take, and why. */
export interface Failure {
  readonly row: Row;
  readonly message: string;
}

/** The rows that errors are about. */
export function failures(steps: readonly Step[], errors: readonly RowError[]): Failure[] {
  return errors.flatMap(({ step, row, message }) => {
    const at = steps[step];
    const failed = at === undefined || at.op === 'bump' ? undefined : at.rows[row];
    return failed === undefined ? [] : [{ row: failed, message }];
  });
}
