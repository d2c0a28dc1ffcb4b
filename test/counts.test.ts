import { describe, expect, test } from '@jest/globals';
import { countCargo, countJest } from './counts.ts';

describe('counting test results', () => {
  test('cargo: the results of all test binaries are summed and ignored tests named', () => {
    const output = [
      'test a ... ok',
      'test b ... ignored, needs root',
      'test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured',
      'test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured',
    ].join('\n');
    expect(countCargo(output)).toMatchObject({ passed: 4, failed: 2, skipped: ['cargo: b'] });
  });

  test('jest: a file that could not be loaded counts as one failed test', () => {
    const json = JSON.stringify({
      testResults: [
        { name: '/r/a.test.ts', status: 'failed', message: 'SyntaxError', assertionResults: [] },
        {
          name: '/r/b.test.ts',
          status: 'passed',
          message: '',
          assertionResults: [
            { fullName: 'x works', status: 'passed' },
            { fullName: 'y needs root', status: 'pending' },
          ],
        },
      ],
    });
    expect(countJest(json, '/r')).toEqual({
      passed: 1,
      failed: 1,
      skipped: ['b.test.ts: y needs root'],
      failures: 'SyntaxError',
    });
  });

  test('jest: no report at all counts nothing, so that the runner reports its exit code', () => {
    expect(countJest('', '/r')).toMatchObject({ passed: 0, failed: 0 });
  });
});
