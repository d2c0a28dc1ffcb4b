/** How many tests a runner's output tells of. */
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  /** "file: name of the test" */
  readonly skipped: readonly string[];
  /** What failed, for people. */
  readonly failures: string;
}

export const none: Counts = { passed: 0, failed: 0, skipped: [], failures: '' };

export function sum(a: Counts, b: Counts): Counts {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: [...a.skipped, ...b.skipped],
    failures: [a.failures, b.failures].filter((text) => text !== '').join('\n'),
  };
}

/** Sums the "test result:" lines that `cargo test` prints, one for each test binary. */
export function countCargo(output: string): Counts {
  const plain = stripVTControlCharacters(output);
  let counts = none;
  for (const line of plain.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed;/gm)) {
    counts = sum(counts, { ...none, passed: Number(line[1]), failed: Number(line[2]) });
  }
  const skipped = [...plain.matchAll(/^test (.+) \.\.\. ignored/gm)].map((line) => `cargo: ${line[1]}`);
  const failures = [...plain.matchAll(/^---- [\s\S]*?(?=^---- |^failures:$|(?![\s\S]))/gm)].map((match) => match[0]);
  return { ...counts, skipped, failures: failures.join('\n') };
}

interface JestFile {
  readonly name: string;
  readonly status: string;
  readonly message: string;
  readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
}

/** Reads what `jest --json --outputFile` wrote; text that is not that gives no counts. */
export function countJest(json: string, root: string): Counts {
  let files: readonly JestFile[];
  try {
    files = (JSON.parse(json) as { testResults: readonly JestFile[] }).testResults;
  } catch {
    return none;
  }
  let counts = none;
  for (const file of files) {
    const by = (status: string) => file.assertionResults.filter((test) => test.status === status);
    const name = relative(root, file.name);
    const failed = by('failed').length;
    const broken = file.status === 'failed' && failed === 0;
    counts = sum(counts, {
      passed: by('passed').length,
      failed: broken ? 1 : failed,
      skipped: [...by('pending'), ...by('todo')].map((test) => `${name}: ${test.fullName}`),
      failures: file.message,
    });
  }
  return counts;
}
