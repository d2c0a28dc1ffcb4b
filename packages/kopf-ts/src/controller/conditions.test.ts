import { expect, test } from '@jest/globals';
import { conditionsOf, nextConditions } from './conditions.ts';

const accepted = { type: 'Accepted', status: 'True', reason: 'Valid', message: 'ok' } as const;

test('the transition time changes with the status and with nothing else', () => {
  const first = nextConditions([], [accepted], 1, Date.UTC(2026, 0, 1));
  const reworded = nextConditions(first, [{ ...accepted, message: 'fine' }], 2, Date.UTC(2026, 0, 2));
  const flipped = nextConditions(reworded, [{ ...accepted, status: 'False' }], 2, Date.UTC(2026, 0, 3, 4, 5, 6, 789));
  expect(first).toEqual([{ ...accepted, observedGeneration: 1, lastTransitionTime: '2026-01-01T00:00:00Z' }]);
  expect(reworded[0]).toMatchObject({
    message: 'fine',
    observedGeneration: 2,
    lastTransitionTime: '2026-01-01T00:00:00Z',
  });
  expect(flipped[0]).toMatchObject({ status: 'False', lastTransitionTime: '2026-01-03T04:05:06Z' });
});

test('what is not a condition is not read as one', () => {
  const good = { ...accepted, lastTransitionTime: '2026-01-01T00:00:00Z' };
  expect(conditionsOf({ status: { conditions: [good, null, 'x', { type: 'A' }, { ...good, message: 1 }] } })).toEqual([
    good,
  ]);
  expect(conditionsOf({ status: { conditions: 'none' } })).toEqual([]);
  expect(conditionsOf({})).toEqual([]);
});
