import { describe, expect, test } from '@jest/globals';
import type { NodeReport } from '@weft/node-api';
import { BadReport, MAX_REPORTED, ReportStore } from './store.ts';

const full: NodeReport = {
  full: true,
  agentVersion: '1',
  resources: [{ name: 'policyset/1', version: 'a', error: '' }],
  conditions: [{ type: 'MapsFull', status: true, reason: 'Full', message: 'x' }],
  synced: true,
};
const delta: NodeReport = { full: false, agentVersion: '', resources: [], conditions: [], synced: true };

describe('reports of a node', () => {
  test('begin with a full one, and then say what changed', () => {
    const [store, stream] = [new ReportStore(), {}];
    expect(() => store.receive('n', stream, delta)).toThrow(BadReport);
    store.receive('n', stream, full);
    store.receive('n', stream, {
      ...delta,
      resources: [
        { name: 'policyset/1', version: '', error: '' },
        { name: 'policyset/2', version: 'b', error: '' },
        { name: 'address/::/0', version: '', error: 'map full' },
      ],
    });
    expect(store.get('n')).toMatchObject({
      connected: true,
      agentVersion: '1',
      synced: true,
      conditions: full.conditions,
    });
    expect(store.get('n')?.versions).toEqual(new Map([['policyset/2', 'b']]));
    expect(store.get('n')?.errors).toEqual(new Map([['address/::/0', 'map full']]));
  });

  test('stay when its stream ends; a new stream replaces them; the end of the old one means nothing then', () => {
    const [store, first, second] = [new ReportStore(), {}, {}];
    store.receive('n', first, full);
    store.receive('n', second, { ...full, resources: [] });
    expect(() => store.receive('n', first, delta)).toThrow(BadReport);
    store.disconnect('n', first);
    expect(store.get('n')?.connected).toBe(true);
    store.disconnect('n', second);
    expect(store.get('n')).toMatchObject({ connected: false, versions: new Map() });
  });

  test('may not fill the memory', () => {
    const resources = Array.from({ length: MAX_REPORTED + 1 }, (_, i) => ({ name: `x/${i}`, version: 'v', error: '' }));
    expect(() => new ReportStore().receive('n', {}, { ...full, resources })).toThrow(/100000 resources at most/);
  });

  test.each([
    ['a name that is too long', { resources: [{ name: 'x'.repeat(513), version: 'a', error: '' }] }],
    ['a version that is too long', { resources: [{ name: 'x', version: 'a'.repeat(513), error: '' }] }],
    ['a version of its own that is too long', { agentVersion: 'x'.repeat(513) }],
    [
      'a type of a condition that is too long',
      { conditions: [{ type: 'x'.repeat(513), status: true, reason: '', message: '' }] },
    ],
    ['too many conditions', { conditions: Array(65).fill(full.conditions[0]) }],
  ])('are refused whole with %s', (_what, more) => {
    const [store, stream] = [new ReportStore(), {}];
    store.receive('n', stream, full);
    expect(() => store.receive('n', stream, { ...full, ...more })).toThrow(BadReport);
    expect(store.get('n')).toMatchObject({ versions: new Map([['policyset/1', 'a']]), conditions: full.conditions });
  });

  test('keep no more of a sentence than anybody reads', () => {
    const store = new ReportStore();
    const long = { type: 'T', status: true, reason: 'R', message: 'm'.repeat(100_000) };
    store.receive(
      'n',
      {},
      { ...full, resources: [{ name: 'x', version: '', error: long.message }], conditions: [long] },
    );
    expect(store.get('n')?.conditions[0]?.message).toHaveLength(2048);
    expect(store.get('n')?.errors.get('x')).toHaveLength(2048);
  });
});
