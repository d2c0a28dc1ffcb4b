/** One line of a benchmark's result, as in the JSON file. */
export interface Result {
  readonly suite: string;
  readonly case: string;
  readonly metric: 'time' | 'p50' | 'p99' | 'rate' | 'memory' | 'cost' | 'ratio' | 'count';
  /** s, ms, 1/s, "1/CPU-s" (a second of processor time), MiB, "ns/packet" or "instructions/packet"; "" for a ratio or count. */
  readonly unit: string;
  readonly weft: number | null;
  readonly baseline: number | null;
  /** weft / baseline, the median of the pairs. */
  readonly ratio: number | null;
  /** 95 % interval of the ratio over the pairs. */
  readonly low: number | null;
  readonly high: number | null;
  readonly runs: number;
  /** Pairs left out because the machine changed its speed in between. */
  readonly dropped: number;
}

/** A result that has no baseline. */
export function alone(
  suite: string,
  name: string,
  metric: Result['metric'],
  unit: string,
  weft: number,
  runs: number,
): Result {
  return {
    suite,
    case: name,
    metric,
    unit,
    weft,
    baseline: null,
    ratio: null,
    low: null,
    high: null,
    runs,
    dropped: 0,
  };
}

const columns = [
  'suite',
  'case',
  'metric',
  'unit',
  'weft',
  'baseline',
  'ratio',
  'low',
  'high',
  'runs',
  'dropped',
] as const;

function cell(value: string | number | null): string {
  if (value === null) return '-';
  if (typeof value === 'string') return value;
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

export function table(results: readonly Result[]): string {
  const rows = [[...columns] as string[], ...results.map((result) => columns.map((column) => cell(result[column])))];
  const widths = columns.map((_, index) => Math.max(...rows.map((row) => (row[index] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((text, index) => text.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
