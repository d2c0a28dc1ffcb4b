import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Transition, transition, type WatchInput, type WatchState } from './state.ts';

const entry = (key: string) => ({ key, version: '1', object: key });

const input: fc.Arbitrary<WatchInput<string>> = fc.oneof(
  fc.record({
    type: fc.constant('page' as const),
    entries: fc.array(fc.constantFrom('a', 'b', 'c').map(entry), { maxLength: 3 }),
    resourceVersion: fc.constantFrom('10', '20'),
    next: fc.constantFrom(undefined, 'token'),
  }),
  fc.constant({ type: 'opened' as const }),
  fc.constant({ type: 'events' as const, events: [{ type: 'BOOKMARK' as const, resourceVersion: '30' }] }),
  fc.constant({ type: 'closed' as const }),
  fc.constant({ type: 'expired' as const }),
);

test('a list is handed on only when its last page is in, with exactly the pages since it was begun', () => {
  fc.assert(
    fc.property(fc.array(input, { maxLength: 40 }), (inputs) => {
      let state: WatchState<string> = { tag: 'empty', expired: 0 };
      let pages: string[] = [];
      for (const each of inputs) {
        const before = state.tag;
        const { state: after, list }: Transition<string> = transition(state, each);
        if (before === 'empty') pages = [];
        if (each.type === 'page' && (before === 'empty' || before === 'listing')) {
          pages.push(...each.entries.map(({ key }) => key));
        }
        const complete =
          each.type === 'page' && each.next === undefined && (before === 'empty' || before === 'listing');
        expect(list?.map(({ key }) => key)).toEqual(complete ? pages : undefined);
        state = after;
      }
    }),
  );
});

test('after a cut the watch goes on behind the last event that was seen', () => {
  const inputs: WatchInput<string>[] = [
    { type: 'page', entries: [], resourceVersion: '5', next: undefined },
    { type: 'opened' },
    { type: 'events', events: [{ type: 'BOOKMARK', resourceVersion: '7' }] },
    { type: 'closed' },
  ];
  const start: WatchState<string> = { tag: 'empty', expired: 0 };
  const end = inputs.reduce<WatchState<string>>((state, each) => transition(state, each).state, start);
  expect(end).toEqual({ tag: 'listed', resourceVersion: '7' });
});

test('lists that expire between their pages are counted, so that one page for all can be asked for', () => {
  const page: WatchInput<string> = { type: 'page', entries: [], resourceVersion: '5', next: 'token' };
  let state: WatchState<string> = { tag: 'empty', expired: 0 };
  const expired: WatchInput<string> = { type: 'expired' };
  for (const each of [page, expired, page, expired]) state = transition(state, each).state;
  expect(state).toEqual({ tag: 'empty', expired: 2 });
});
