import { describe, expect, test } from '@jest/globals';
import type { Condition } from 'kopf-ts';
import { StatusLedger } from './ledger.ts';

const object = { metadata: { name: 'p', uid: 'u', generation: 2 } };
const accepted = { type: 'Accepted', status: 'True', reason: 'Accepted', message: '' } as const;
const waiting = { type: 'Enforced', status: 'False', reason: 'NodesPending', message: '0 of 3' } as const;
const enforced = { ...waiting, status: 'True' } as const;
const stored = (condition: typeof accepted | typeof waiting | typeof enforced, generation: number): Condition => ({
  ...condition,
  lastTransitionTime: '2026-01-01T00:00:00Z',
  observedGeneration: generation,
});

describe('what is worth a write', () => {
  test('is a change of a status, not of its words', () => {
    const ledger = new StatusLedger();
    expect(ledger.isNews('k', object, [], [accepted, waiting])).toBe(true);
    ledger.said('k', object, [accepted, waiting]);
    expect(ledger.isNews('k', object, [], [accepted, { ...waiting, message: '1 of 3' }])).toBe(false);
    expect(ledger.isNews('k', object, [], [accepted, enforced])).toBe(true);
  });

  test('is not what another replica wrote of the same generation', () => {
    const ledger = new StatusLedger();
    const existing = [stored(accepted, 2), stored(waiting, 2)];
    expect(ledger.isNews('k', object, existing, [accepted, waiting])).toBe(false);
    expect(ledger.isNews('k', object, [stored(accepted, 1), stored(waiting, 1)], [accepted, waiting])).toBe(true);
  });

  test('is a new generation, and an object that was deleted and made again', () => {
    const ledger = new StatusLedger();
    ledger.said('k', object, [accepted, enforced]);
    expect(ledger.isNews('k', { metadata: { ...object.metadata, generation: 3 } }, [], [accepted, enforced])).toBe(
      true,
    );
    expect(ledger.isNews('k', { metadata: { ...object.metadata, uid: 'other' } }, [], [accepted, enforced])).toBe(true);
  });
});

describe('Enforced', () => {
  test('once said of a generation is not taken back, also not by the next leader', () => {
    const ledger = new StatusLedger();
    expect(ledger.isEnforced('k', object, [])).toBe(false);
    expect(ledger.isEnforced('k', object, [stored(enforced, 2)])).toBe(true);
    expect(ledger.isEnforced('k', object, [stored(enforced, 1)])).toBe(false);
    ledger.said('k', object, [accepted, enforced]);
    expect(ledger.isEnforced('k', object, [])).toBe(true);
    expect(ledger.isEnforced('k', { metadata: { ...object.metadata, generation: 3 } }, [])).toBe(false);
  });
});
