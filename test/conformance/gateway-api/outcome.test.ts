import { expect, test } from '@jest/globals';
import { begun, outcomesOf, summary } from './outcome.ts';

const output = `=== RUN   TestConformance
=== RUN   TestConformance/MeshBasic
=== RUN   TestConformance/MeshBasic/0_request
--- FAIL: TestConformance (20.10s)
    --- PASS: TestConformance/MeshBasic (1.25s)
        --- PASS: TestConformance/MeshBasic/0_request (1.20s)
    --- SKIP: TestConformance/MeshConsumerRoute (0.00s)
    --- FAIL: TestConformance/MeshPorts (18.00s)
        --- FAIL: TestConformance/MeshPorts/No_port_set (9.00s)
FAIL
`;

test('the outcomes are those of the tests, not of their parts or of the whole', () => {
  expect(outcomesOf(output)).toEqual([
    { name: 'MeshBasic', outcome: 'passed', seconds: 1.25 },
    { name: 'MeshConsumerRoute', outcome: 'skipped', seconds: 0 },
    { name: 'MeshPorts', outcome: 'failed', seconds: 18 },
  ]);
});

test('the summary counts all and lists those that ran', () => {
  expect(summary(outcomesOf(output))).toBe(
    'passed     1.3 s  MeshBasic\nfailed    18.0 s  MeshPorts\n1 passed, 1 failed, 1 skipped',
  );
});

test('a line that says what begins is told from others', () => {
  expect(output.split('\n').map(begun).filter(Boolean)).toEqual(['MeshBasic', 'MeshBasic/0_request']);
});
