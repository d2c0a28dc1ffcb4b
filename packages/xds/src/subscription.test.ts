import { describe, expect, test } from '@jest/globals';
import type { Resource } from './resource.ts';
import { Subscription, type TypeView } from './subscription.ts';
import { thing } from './testing/loopback.ts';

const view = (...resources: Resource[]): TypeView => {
  const byName = new Map(resources.map((resource) => [resource.name, resource]));
  return { get: (name) => byName.get(name), names: () => new Set(byName.keys()) };
};

const change = (parts: { subscribe?: string[]; unsubscribe?: string[]; has?: Resource[] }) => ({
  subscribe: parts.subscribe ?? [],
  unsubscribe: parts.unsubscribe ?? [],
  initialVersions: new Map((parts.has ?? []).map(({ name, version }) => [name, version])),
});

const told = (subscription: Subscription, of: TypeView) => {
  const delta = subscription.take(of);
  return delta && { upserts: delta.upserts.map(({ name }) => name), removes: delta.removes };
};

describe('Subscription', () => {
  test('a first request without names subscribes to everything', () => {
    const subscription = new Subscription();
    subscription.change(change({}));
    expect(told(subscription, view(thing('x'), thing('y')))).toEqual({ upserts: ['x', 'y'], removes: [] });
  });

  test('a wildcard is answered even if there is nothing', () => {
    const subscription = new Subscription();
    subscription.change(change({ subscribe: ['*'] }));
    expect(told(subscription, view())).toEqual({ upserts: [], removes: [] });
    expect(told(subscription, view())).toBeUndefined();
  });

  test('a later request without names does not subscribe to everything', () => {
    const subscription = new Subscription();
    subscription.change(change({ subscribe: ['x'] }));
    subscription.change(change({}));
    expect(told(subscription, view(thing('x'), thing('y')))).toEqual({ upserts: ['x'], removes: [] });
  });

  test('a client that resumes gets only differences, and deletions of what is gone', () => {
    const subscription = new Subscription();
    subscription.change(change({ subscribe: ['*'], has: [thing('same'), thing('old', '1'), thing('gone')] }));
    const now = view(thing('same'), thing('old', '2'), thing('new'));
    expect(told(subscription, now)).toEqual({ upserts: ['old', 'new'], removes: ['gone'] });
  });

  test('a named subscription resumes without a word if nothing changed', () => {
    const subscription = new Subscription();
    subscription.change(change({ subscribe: ['x'], has: [thing('x')] }));
    expect(told(subscription, view(thing('x')))).toBeUndefined();
  });

  test('versions that a client claims later on its stream are ignored', () => {
    const subscription = new Subscription();
    subscription.change(change({ subscribe: ['x'] }));
    subscription.change(change({ subscribe: ['y'], has: [thing('y')] }));
    expect(told(subscription, view(thing('x'), thing('y')))).toEqual({ upserts: ['x', 'y'], removes: [] });
  });

  test('a name that does not exist is answered once, and sent when it appears', () => {
    const subscription = new Subscription();
    subscription.change(change({ subscribe: ['x'] }));
    expect(told(subscription, view())).toEqual({ upserts: [], removes: ['x'] });
    subscription.markChanged(['x']);
    expect(told(subscription, view())).toBeUndefined();
    subscription.markChanged(['x']);
    expect(told(subscription, view(thing('x')))).toEqual({ upserts: ['x'], removes: [] });
  });

  test('subscribing again to a name sends it again', () => {
    const subscription = new Subscription();
    subscription.change(change({ subscribe: ['x'] }));
    subscription.take(view(thing('x')));
    subscription.change(change({ subscribe: ['x'] }));
    expect(told(subscription, view(thing('x')))).toEqual({ upserts: ['x'], removes: [] });
  });

  test('after unsubscribing nothing is sent, not even the deletion', () => {
    const subscription = new Subscription();
    subscription.change(change({ subscribe: ['x'] }));
    subscription.take(view(thing('x')));
    subscription.change(change({ unsubscribe: ['x'] }));
    subscription.markChanged(['x']);
    expect(told(subscription, view())).toBeUndefined();
    expect(subscription.size).toBe(0);
  });

  test('unsubscribing from a name beside a wildcard tells whether the wildcard has it', () => {
    const subscription = new Subscription();
    subscription.change(change({ subscribe: ['*', 'x', 'ghost'] }));
    subscription.take(view(thing('x')));
    subscription.change(change({ unsubscribe: ['x', 'ghost'] }));
    expect(told(subscription, view(thing('x')))).toEqual({ upserts: ['x'], removes: ['ghost'] });
  });

  test('unsubscribing from the wildcard keeps what was named', () => {
    const subscription = new Subscription();
    subscription.change(change({ subscribe: ['*', 'x'] }));
    subscription.take(view(thing('x'), thing('y')));
    subscription.change(change({ unsubscribe: ['*'] }));
    subscription.markChanged(['x', 'y']);
    expect(told(subscription, view(thing('x', '2'), thing('y', '2')))).toEqual({ upserts: ['x'], removes: [] });
  });

  test('changes coalesce: what comes and goes between two looks is not mentioned', () => {
    const subscription = new Subscription();
    subscription.change(change({}));
    subscription.take(view());
    subscription.markChanged(['brief']);
    subscription.markChanged(['brief']);
    expect(told(subscription, view())).toBeUndefined();
  });
});
