import { expect, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';
import fc from 'fast-check';
import { VirtualClock } from '../test/virtual-clock.ts';
import { KubeClient } from './client/client.ts';
import { isJson, type Json } from './client/status.ts';
import { cutTo, type EventInput, EventRecorder, microTime } from './events.ts';
import { defineKind, type Kind, type KubeObject, type ObjectRef } from './kind.ts';
import { RateLimit } from './rate-limit.ts';

test('a note is cut between characters and fits in bytes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
      const cut = cutTo(text, 32);
      expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(32);
      expect(Buffer.from(cut).toString()).toBe(cut);
      if (Buffer.byteLength(text) <= 32) expect(cut).toBe(text);
      else expect(text.startsWith(cut.slice(0, -1))).toBe(true);
    }),
  );
});

test('times have the six digits that MicroTime wants', () => {
  expect(microTime(Date.UTC(2026, 0, 2, 3, 4, 5, 67))).toBe('2026-01-02T03:04:05.067000Z');
});

/** The API server's side of events, as a log. */
class EventLog extends KubeClient {
  readonly log: string[] = [];

  constructor() {
    super(new KubeConfig());
  }

  override async create<T extends KubeObject>(_: Kind<T>, object: T): Promise<T> {
    this.log.push(`create in ${object.metadata.namespace}`);
    return object;
  }

  override async patch<T extends KubeObject>(kind: Kind<T>, ref: ObjectRef, patch: Json): Promise<T> {
    const { series } = patch;
    this.log.push(`count ${isJson(series) ? series.count : 'none'}`);
    return kind.parse({ metadata: { name: ref.name } });
  }
}

const things = defineKind({ group: '', version: 'v1', plural: 'things', kind: 'Thing', namespaced: true });
const about = (name: string): EventInput => ({
  kind: things,
  object: { metadata: { namespace: 'n', name } },
  type: 'Warning',
  reason: 'Bad',
  action: 'Look',
  note: 'it is bad',
});

function recorderOf(
  clock: VirtualClock,
  burst: number,
): { readonly client: EventLog; readonly recorder: EventRecorder } {
  const client = new EventLog();
  const limit = new RateLimit({ perSecond: 0.001, burst, clock });
  const recorder = new EventRecorder({ client, clock, limit, controller: 'c', instance: 'i', flushMs: 1000 });
  return { client, recorder };
}

test('repetitions are written as one count an interval, and after a quiet interval the next one is new', async () => {
  const clock = new VirtualClock();
  const { client, recorder } = recorderOf(clock, 10);
  for (let i = 0; i < 3; i++) recorder.emit(about('a'));
  await clock.advance(999);
  expect(client.log).toEqual(['create in n']);
  await clock.advance(1);
  expect(client.log).toEqual(['create in n', 'count 3']);
  await clock.advance(1000);
  recorder.emit(about('a'));
  await clock.advance(0);
  expect(client.log).toEqual(['create in n', 'count 3', 'create in n']);
  await recorder.flush();
});

test('what is above the cap is dropped and counted', async () => {
  const clock = new VirtualClock();
  const { client, recorder } = recorderOf(clock, 2);
  for (const name of ['a', 'b', 'c', 'd']) recorder.emit(about(name));
  await recorder.flush();
  expect([client.log.length, recorder.dropped]).toEqual([2, 2]);
});
