import { describe, expect, test } from '@jest/globals';
import type { RouteFact, RouteVerdict } from '../../reconcilers/index.ts';
import { translate } from '../../sources/index.ts';
import type { SourceObject } from '../facts/collector.ts';
import type { RouteState } from '../model.ts';
import { l7RouteConditions } from './conditions.ts';
import { CONTROLLER_NAME, nextParents, wantedParents } from './parents.ts';

const NOW = Date.parse('2026-11-24T12:00:00Z');
const service = (name: string, extra: object = {}) => ({ group: '', kind: 'Service', name, ...extra });

function httpRoute(parentRefs: readonly object[], status: object = {}, rules: unknown = [{}]) {
  return { metadata: { namespace: 'shop', name: 'r', generation: 2 }, spec: { parentRefs, rules }, status };
}

function factOf(kind: 'HTTPRoute' | 'L7Route', object: object): RouteFact {
  const [fact] = translate(kind, object).facts;
  if (fact?.kind !== 'route') throw new Error('no route');
  return fact;
}

const resolved = { status: true, reason: 'ResolvedRefs', message: 'All found.' };
const yes = (index: number) => ({ index, accepted: true, reason: 'Accepted', message: 'Attached.' });
const no = (index: number) => ({
  index,
  accepted: false,
  reason: 'NoMatchingParent',
  message: 'There is no Service x.',
});

function state(object: object, parents: RouteVerdict['parents'], resolvedRefs = resolved): RouteState {
  return { fact: factOf('HTTPRoute', object), verdict: { parents, resolvedRefs } };
}

const short = (conditions: readonly { type: string; status: string; reason: string }[]): string[] =>
  conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`);

describe('what the Gateway API’s status says of a route', () => {
  test('is what the compiler says of each parent, and what the translator refused', () => {
    const refs = [{ name: 'edge' }, service('api'), service('x'), service('api', { namespace: 'far' })];
    const object = httpRoute(refs);
    const wanted = wantedParents(object, state(object, [yes(1), no(2)]));
    expect(wanted.map(({ parentRef, conditions }) => [parentRef, ...short(conditions)])).toEqual([
      [refs[1], 'Accepted=True Accepted', 'ResolvedRefs=True ResolvedRefs'],
      [refs[2], 'Accepted=False NoMatchingParent', 'ResolvedRefs=True ResolvedRefs'],
      [refs[3], 'Accepted=False UnsupportedValue', 'ResolvedRefs=True ResolvedRefs'],
    ]);
  });

  test('is Unknown as long as the compiler said nothing, and of the backends of what is not understood', () => {
    const object = httpRoute([service('api')]);
    const conditions = (of: SourceObject, known: RouteState | undefined) =>
      wantedParents(of, known).flatMap((parent) => short(parent.conditions));
    expect(conditions(object, { fact: factOf('HTTPRoute', object), verdict: undefined })).toEqual([
      'Accepted=Unknown Pending',
      'ResolvedRefs=Unknown Pending',
    ]);
    const wrong = httpRoute([service('api')], {}, [{ filters: [{ type: 'CORS' }] }]);
    expect(conditions(wrong, state(wrong, []))).toEqual([
      'Accepted=False UnsupportedValue',
      'ResolvedRefs=Unknown Pending',
    ]);
  });

  const theirs = { parentRef: { name: 'edge' }, controllerName: 'example.com/gateway', conditions: [] };
  const entry = (parentRef: object, accepted: string, since: string) => ({
    parentRef,
    controllerName: CONTROLLER_NAME,
    conditions: [
      {
        type: 'ResolvedRefs',
        status: 'True',
        reason: 'ResolvedRefs',
        message: 'All found.',
        observedGeneration: 2,
        lastTransitionTime: since,
      },
      {
        type: 'Accepted',
        status: accepted,
        reason: 'Accepted',
        message: 'Attached.',
        observedGeneration: 2,
        lastTransitionTime: since,
      },
    ],
  });
  const EARLIER = '2026-01-01T00:00:00Z';

  test('is not written again, whatever the order of conditions and of others’ entries', () => {
    const object = httpRoute([service('api')], { parents: [entry(service('api'), 'True', EARLIER), theirs] });
    expect(nextParents(object, wantedParents(object, state(object, [yes(0)])), NOW)).toBeUndefined();
  });

  test('keeps others’ entries and the times of statuses that did not change', () => {
    const object = httpRoute([service('api'), service('new')], {
      parents: [entry(service('api'), 'False', EARLIER), theirs, entry(service('gone'), 'True', EARLIER)],
    });
    const next = nextParents(object, wantedParents(object, state(object, [yes(0), yes(1)])), NOW);
    expect(next).toEqual([
      theirs,
      {
        parentRef: service('api'),
        controllerName: CONTROLLER_NAME,
        conditions: [
          expect.objectContaining({ type: 'Accepted', status: 'True', lastTransitionTime: '2026-11-24T12:00:00Z' }),
          expect.objectContaining({ type: 'ResolvedRefs', status: 'True', lastTransitionTime: EARLIER }),
        ],
      },
      expect.objectContaining({ parentRef: service('new') }),
    ]);
  });

  test('of a new generation is written, also where it says the same', () => {
    const { metadata, ...rest } = httpRoute([service('api')], { parents: [entry(service('api'), 'True', EARLIER)] });
    const object = { ...rest, metadata: { ...metadata, generation: 3 } };
    const next = nextParents(object, wantedParents(object, state(object, [yes(0)])), NOW);
    expect(JSON.stringify(next)).toMatch(/"observedGeneration":3/);
    expect(JSON.stringify(next)).not.toMatch(/2026-11/);
  });
});

describe('the conditions of an L7Route', () => {
  const object = {
    metadata: { namespace: 'shop', name: 'r', generation: 1 },
    spec: { parentRefs: [{ name: 'api' }, { name: 'x' }], rules: [{ backends: [{ name: 'api', port: 80 }] }] },
  };
  const fact = factOf('L7Route', object);
  const progress = { nodes: 2, missing: [] };

  test('are all True when nodes hold it, and Ready says so', () => {
    const verdict = { parents: [yes(0), yes(1)], resolvedRefs: resolved };
    const conditions = l7RouteConditions({ problems: [], state: { fact, verdict }, told: true, progress });
    expect(conditions.map(({ type, status }) => `${type}=${status}`)).toEqual([
      'Accepted=True',
      'ResolvedRefs=True',
      'Programmed=True',
      'Enforced=True',
      'Ready=True',
    ]);
  });

  test('name the Service that does not take it, and the nodes that lag', () => {
    const verdict = { parents: [yes(0), no(1)], resolvedRefs: resolved };
    const refused = l7RouteConditions({ problems: [], state: { fact, verdict }, told: false, progress });
    expect(short(refused)).toEqual([
      'Accepted=False NoMatchingParent',
      'ResolvedRefs=True ResolvedRefs',
      'Programmed=False NotAccepted',
      'Enforced=False NotAccepted',
      'Ready=False NoMatchingParent',
    ]);
    const lagging = { nodes: 2, missing: [{ node: 'a', why: 'Pending', message: '' }] } as const;
    const late = l7RouteConditions({
      problems: [],
      state: { fact, verdict: { ...verdict, parents: [yes(0), yes(1)] } },
      told: true,
      progress: lagging,
    });
    expect(short(late).slice(3)).toEqual(['Enforced=False NodesPending', 'Ready=False NodesPending']);
  });

  test('say of one that is not understood what is wrong with it', () => {
    const wrong = translate('L7Route', { ...object, spec: { ...object.spec, rules: [{ fault: {} }] } });
    const [found] = wrong.facts;
    const conditions = l7RouteConditions({
      problems: wrong.problems,
      state: found?.kind === 'route' ? { fact: found, verdict: undefined } : undefined,
      told: false,
      progress,
    });
    expect(conditions[0]).toMatchObject({
      status: 'False',
      reason: 'Invalid',
      message: expect.stringMatching(/fault/),
    });
    expect(conditions.map(({ status }) => status)).not.toContain('True');
  });
});
