import { describe, expect, test } from '@jest/globals';
import { type ChangedNames, ResourceCache } from './cache.ts';
import { resource } from './resource.ts';
import { TYPE, thing } from './testing/loopback.ts';

describe('ResourceCache', () => {
  test('a view sees shared resources and its own, which hide shared ones of the same name', () => {
    const cache = new ResourceCache();
    cache.commit({
      shared: { upserts: [thing('x', 'shared'), thing('y', 'shared')] },
      views: new Map([['a', { upserts: [thing('x', 'own')] }]]),
    });
    const text = (view: string, name: string) => Buffer.from(cache.get(view, TYPE, name)?.bytes ?? []).toString();
    expect([text('a', 'x'), text('a', 'y'), text('b', 'x')]).toEqual(['own', 'shared', 'shared']);
    cache.commit({ views: new Map([['a', { deletes: [{ typeUrl: TYPE, name: 'x' }] }]]) });
    expect(text('a', 'x')).toBe('shared');
    expect([...cache.names('a', TYPE)].sort()).toEqual(['x', 'y']);
  });

  test('a commit that changes nothing tells nobody', () => {
    const cache = new ResourceCache();
    const heard: ChangedNames[] = [];
    cache.watch('a', (changed) => heard.push(changed));
    const batch = { views: new Map([['a', { upserts: [thing('x')], deletes: [{ typeUrl: TYPE, name: 'none' }] }]]) };
    cache.commit(batch);
    cache.commit(batch);
    cache.commit({ shared: { deletes: [{ typeUrl: TYPE, name: 'none' }] } });
    expect(heard).toEqual([new Map([[TYPE, new Set(['x'])]])]);
    expect(cache.revision).toBe(1);
  });

  test('a listener hears of its view and of what is shared, once a commit, until it stops listening', () => {
    const cache = new ResourceCache();
    const heard: string[][] = [];
    const stop = cache.watch('a', (changed) => heard.push([...(changed.get(TYPE) ?? [])].sort()));
    cache.commit({
      shared: { upserts: [thing('shared')] },
      views: new Map([
        ['a', { upserts: [thing('own')] }],
        ['b', { upserts: [thing('foreign')] }],
      ]),
    });
    cache.commit({ views: new Map([['b', { upserts: [thing('foreign', '2')] }]]) });
    stop();
    cache.commit({ shared: { upserts: [thing('late')] } });
    expect(heard).toEqual([['own', 'shared']]);
  });

  test('a batch with a resource that can have no subscriber is refused as a whole', () => {
    const cache = new ResourceCache();
    const commit = (bad: ReturnType<typeof thing>) => () => cache.commit({ shared: { upserts: [thing('x'), bad] } });
    expect(commit(thing('*'))).toThrow('may not be named "*"');
    expect(commit(thing(''))).toThrow('may not be named ""');
    expect(commit(resource('', 'y', Buffer.of()))).toThrow('resource y has no type URL');
    expect(cache.get('a', TYPE, 'x')).toBeUndefined();
  });
});
