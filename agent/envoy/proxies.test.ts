import { describe, expect, test } from '@jest/globals';
import { awaitedProxy, chooseProxy, type ProxyView, retirable, whyNoEnvoy } from './proxies.ts';
import type { SupervisorState } from './supervisor-state.ts';

type Shape = [
  state: SupervisorState['state'] | undefined,
  config?: ProxyView['config'],
  more?: Partial<SupervisorState>,
];

/** Pods in slots 0, 1, …, oldest first. */
const pods = (...shapes: Shape[]): ProxyView[] =>
  shapes.map(([state, config, more], slot) => ({
    slot,
    uid: `u${slot}`,
    supervisor: state && { pod: `u${slot}`, envoy: '1.40.0', state, restarts: 0, ...more },
    config,
  }));

describe('the pod that gets new connections', () => {
  test.each<[string, ProxyView[], number | undefined, number | undefined]>([
    ['nobody is there', [], undefined, undefined],
    ['its pod is gone', [], 0, undefined],
    ['the only one runs and has everything', pods(['running', 'all']), undefined, 0],
    ['the only one has refused something', pods(['running', 'answered']), undefined, 0],
    ['the only one lacks something and never served', pods(['running', 'pending']), undefined, undefined],
    ['the newer one has everything', pods(['running', 'all'], ['running', 'all']), 0, 1],
    ['the newer one lacks something', pods(['running', 'all'], ['running', 'pending']), 0, 0],
    ['the newer one has refused something', pods(['running', 'all'], ['running', 'answered']), 0, 0],
    ['the present one is only ahead in age', pods(['running', 'all'], ['running', 'pending']), 1, 1],
    ['the present one has died', pods(['running', 'all'], ['starting']), 1, 0],
    ['the present one drains, the newer refused something', pods(['draining', 'all'], ['running', 'answered']), 0, 1],
    ['the present one drains and nobody can take over', pods(['draining', 'all'], ['starting']), 0, 0],
    ['the present one has died and nobody else is there', pods(['starting']), 0, 0],
    ['the supervisor of the present one is gone', pods(['running', 'all'], [undefined]), 1, 0],
  ])('%s', (_, views, current, chosen) => {
    expect(chooseProxy(views, current, false)).toBe(chosen);
  });

  test('stays while the agent has just started and not all have come back', () => {
    expect(chooseProxy(pods(['running', 'all'], [undefined]), 1, true)).toBe(1);
  });
});

test('a draining pod may go once another has its place, or when nobody can have it', () => {
  expect(retirable(pods(['draining', 'all'], ['running', 'all']), 1)).toEqual(['u0']);
  expect(retirable(pods(['draining', 'all'], ['starting']), 0)).toEqual([]);
  expect(retirable(pods(['draining', 'all'], ['stopped']), 0)).toEqual(['u0']);
  expect(retirable(pods(['draining', 'all']), 0)).toEqual(['u0']);
});

test('rows wait for the pod that is pointed at, else for one that may come to serve, and for no hopeless one', () => {
  expect(awaitedProxy(pods(['running', 'all'], ['running', 'pending']), 0, false)?.slot).toBe(0);
  expect(awaitedProxy(pods(['idle']), undefined, false)?.slot).toBe(0);
  expect(awaitedProxy(pods(['starting', undefined, { restarts: 1 }]), 0, false)).toBeUndefined();
  expect(awaitedProxy(pods(['idle', undefined, { error: 'no such file' }]), undefined, false)).toBeUndefined();
  expect(awaitedProxy(pods([undefined]), 0, false)).toBeUndefined();
  expect(awaitedProxy(pods([undefined]), 0, true)?.slot).toBe(0);
  expect(awaitedProxy([], undefined, true)).toBeUndefined();
});

test('why there is no Envoy', () => {
  expect(whyNoEnvoy(pods(['running', 'all']), 0)).toBeUndefined();
  expect(whyNoEnvoy([], undefined)).toContain('DaemonSet weft-envoy');
  expect(whyNoEnvoy(pods([undefined]), 0)).toContain('connected to this agent');
  const died = pods(['starting', undefined, { restarts: 3, error: 'it was killed by signal 9.' }]);
  expect(whyNoEnvoy(died, 0)).toBe(
    'Envoy in the pod u0 is starting, started again 3 times: it was killed by signal 9.',
  );
  expect(whyNoEnvoy(pods(['running']), 0)).toContain('does not ask');
  expect(whyNoEnvoy(pods(['running', 'pending']), undefined)).toContain('does not have its configuration yet');
});
