import type http from 'node:http';
import type { KubeObject } from '../kind.ts';
import type { Deadline } from './deadline.ts';
import { LineSplitter } from './lines.ts';
import { isJson, isKubeObject, statusError } from './status.ts';
import { connectionLost } from './transport.ts';

/** One event of a watch. An `ERROR` event is not among them: it is thrown. */
export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubeObject; readonly resourceVersion: string }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/**
 * A server that sends bookmarks does so about once a minute (`defaultBookmarkFrequency` in the API server's cacher), so
 * silence for this long means that the connection is dead, even if TCP has not noticed.
 */
const silenceMs = 180_000;

/** The events of a watch's response, batched as they arrived; throws a KubeError if the stream is cut or refused. */
export async function* readEvents(
  response: http.IncomingMessage,
  what: string,
  limit: { readonly deadline: Deadline; readonly remaining: () => number },
): AsyncGenerator<readonly WatchEvent[]> {
  const splitter = new LineSplitter();
  const { deadline, remaining } = limit;
  let bookmarked = false;
  try {
    for await (const chunk of response) {
      const events: WatchEvent[] = [];
      for (const line of splitter.push(chunk)) {
        const event = parseEvent(line, what);
        if (event instanceof Error) {
          if (events.length > 0) yield events;
          throw event;
        }
        bookmarked ||= event.type === 'BOOKMARK';
        events.push(event);
      }
      deadline.set(bookmarked ? Math.min(silenceMs, remaining()) : remaining(), `${what}: the server fell silent`);
      if (events.length > 0) yield events;
    }
    if (splitter.isInsideLine) throw new Error('ended in the middle of an event');
  } catch (thrown) {
    throw connectionLost(thrown, what, deadline.signal);
  }
}

function parseEvent(line: string, what: string): WatchEvent | Error {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return statusError(what, 0, { reason: 'BadResponse', message: 'an event is not JSON' });
  }
  if (!isJson(value) || !isJson(value.object)) {
    return statusError(what, 0, { reason: 'BadResponse', message: 'an event has no object' });
  }
  const { type, object } = value;
  if (type === 'ERROR') return statusError(what, undefined, object);
  const metadata = isJson(object.metadata) ? object.metadata : {};
  const resourceVersion = metadata.resourceVersion;
  if (typeof resourceVersion === 'string') {
    if (type === 'BOOKMARK') return { type, resourceVersion };
    const known = type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED';
    if (known && isKubeObject(object)) return { type, object, resourceVersion };
  }
  return statusError(what, 0, { reason: 'BadResponse', message: `an event of unknown form (${String(type)})` });
}
