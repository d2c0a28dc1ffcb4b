import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Batch, ResourceCache } from './cache.ts';
import { follow, type RunningServer, serve, TYPE, thing, until } from './testing/loopback.ts';

type Step =
  | { readonly kind: 'commit'; readonly batch: Batch }
  /** The second replica learns of commits only now. */
  | { readonly kind: 'catch up' }
  | { readonly kind: 'move'; readonly to: 0 | 1 }
  | { readonly kind: 'cut' }
  | { readonly kind: 'reject next' }
  | { readonly kind: 'settle' };

const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
const changes = fc.record({
  upserts: fc.array(
    fc.tuple(name, fc.constantFrom('1', '2', '3')).map(([key, text]) => thing(key, text)),
    { maxLength: 4 },
  ),
  deletes: fc.array(
    name.map((key) => ({ typeUrl: TYPE, name: key })),
    { maxLength: 3 },
  ),
});
const batch: fc.Arbitrary<Batch> = fc.record({
  shared: changes,
  views: fc.oneof(
    fc.constant(new Map()),
    changes.map((own) => new Map([['a', own]])),
    changes.map((foreign) => new Map([['other', foreign]])),
  ),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: batch.map((each): Step => ({ kind: 'commit', batch: each })) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'catch up' }) },
  { weight: 2, arbitrary: fc.constantFrom<0 | 1>(0, 1).map((to): Step => ({ kind: 'move', to })) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'cut' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'reject next' }) },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: 'settle' }) },
);

/** A view's content, as a client should hold it. */
const contentOf = (cache: ResourceCache): Map<string, string> =>
  new Map(
    [...cache.names('a', TYPE)]
      .sort()
      .map((key) => [key, Buffer.from(cache.get('a', TYPE, key)?.bytes ?? []).toString()]),
  );
const sorted = (state: ReadonlyMap<string, string>) => new Map([...state].sort(([a], [b]) => (a < b ? -1 : 1)));
const same = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean =>
  JSON.stringify([...a]) === JSON.stringify([...b]);

describe('a client of two replicas', () => {
  test('ends with the view that the cache has, whatever is committed, cut, rejected or moved in between', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 25 }),
        fc.constantFrom(1, 200, 1 << 20),
        async (steps, partBytes) => {
          const caches = [new ResourceCache(), new ResourceCache()] as const;
          for (const cache of caches) cache.commit({ views: new Map([['a', {}]]) });
          const limits = { maxPartBytes: partBytes };
          await using first = await serve(caches[0], { limits });
          await using second = await serve(caches[1], { limits });
          const servers: readonly [RunningServer, RunningServer] = [first, second];
          let reject = false;
          const state = new Map<string, string>();
          await using follower = follow([first.target], {
            backoff: { initialMs: 1, maxMs: 2 },
            onBatch: ({ upserts, deletes }) => {
              if (reject) {
                reject = false;
                throw new Error('rejected for a change');
              }
              for (const key of deletes) state.delete(key);
              for (const { name: key, bytes } of upserts) state.set(key, Buffer.from(bytes).toString());
            },
          });
          const behind: Batch[] = [];
          const catchUp = (): void => {
            for (const each of behind.splice(0)) caches[1].commit(each);
          };
          for (const each of steps) {
            if (each.kind === 'commit') {
              caches[0].commit(each.batch);
              behind.push(each.batch);
            } else if (each.kind === 'catch up') catchUp();
            else if (each.kind === 'move') follower.client.setTargets([servers[each.to].target]);
            else if (each.kind === 'cut') for (const server of servers) server.ads.disconnect('a', 'cut');
            else if (each.kind === 'reject next') reject = true;
            else await new Promise((resolve) => setTimeout(resolve, 5));
          }
          catchUp();
          const rejected = steps.some(({ kind }) => kind === 'reject next');
          reject = false;
          // What was rejected comes again with a new stream only.
          if (rejected) follower.client.reconnect();
          expect(contentOf(caches[0])).toEqual(contentOf(caches[1]));
          await until(() => same(sorted(state), contentOf(caches[0])), 'the client to converge');
        },
      ),
      { numRuns: 60 },
    );
  });
});
