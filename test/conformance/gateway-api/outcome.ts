/** What the suite's program prints, as `go test -v` prints it. */

export type Outcome = 'passed' | 'failed' | 'skipped';

export interface TestOutcome {
  readonly name: string;
  readonly outcome: Outcome;
  readonly seconds: number;
}

const words = { PASS: 'passed', FAIL: 'failed', SKIP: 'skipped' } as const;

/** Outcomes of the suite's tests, without those of their parts, in the order in which they ended. */
export function outcomesOf(output: string): TestOutcome[] {
  return [...output.matchAll(/^ *--- (PASS|FAIL|SKIP): TestConformance\/([^/\s]+) \(([0-9.]+)s\)$/gm)].map(
    ([, word = 'FAIL', name = '', seconds]) => ({
      name,
      outcome: words[word as keyof typeof words],
      seconds: Number(seconds),
    }),
  );
}

/** The test, or part of one, that a line says has begun. */
export function begun(line: string): string | undefined {
  return /^=== RUN +TestConformance\/(.+)$/.exec(line)?.[1];
}

/** A line for each test that ran, and the sum. */
export function summary(outcomes: readonly TestOutcome[]): string {
  const count = (outcome: Outcome) => outcomes.filter((one) => one.outcome === outcome).length;
  const lines = outcomes
    .filter(({ outcome }) => outcome !== 'skipped')
    .map(({ name, outcome, seconds }) => `${outcome.padEnd(7)} ${seconds.toFixed(1).padStart(6)} s  ${name}`);
  return [...lines, `${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`].join('\n');
}
