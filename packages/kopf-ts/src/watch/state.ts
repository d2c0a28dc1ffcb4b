import type { WatchEvent } from '../client/watch-stream.ts';
import type { Entry } from '../store/store.ts';

/**
 * Where a watcher stands. After kube-rs's `kube-runtime` watcher:
 *
 * ```
 *   ┌──────────────► empty ──first page──► listing ──last page──► listed ──opened──► watching
 *   │  history gone                           │ ▲                  ▲                   │
 *   ├─────────────────────────────────────────┘ └ next page        └───ended or cut────┤
 *   └──────────────────────────────────────────────────────────────────────────────────┘
 * ```
 * What readers see changes only with the last page (the whole list at once) and with events.
 */
export type WatchState<T> =
  | { readonly tag: 'empty'; readonly expired: number }
  | {
      readonly tag: 'listing';
      readonly expired: number;
      readonly entries: readonly Entry<T>[][];
      readonly next: string;
    }
  | { readonly tag: 'listed'; readonly resourceVersion: string }
  | { readonly tag: 'watching'; readonly resourceVersion: string };

/** What can happen to a watcher. */
export type WatchInput<T> =
  | {
      readonly type: 'page';
      readonly entries: readonly Entry<T>[];
      readonly resourceVersion: string;
      readonly next: string | undefined;
    }
  | { readonly type: 'opened' }
  | { readonly type: 'events'; readonly events: readonly WatchEvent[] }
  /** The server ended the watch, or the connection broke, or a request failed: go on from here. */
  | { readonly type: 'closed' }
  /** The history that would be needed to go on is gone (410). */
  | { readonly type: 'expired' };

/** The next state, and the whole list if this input completed one. */
export interface Transition<T> {
  readonly state: WatchState<T>;
  readonly list?: readonly Entry<T>[];
}

/** The state machine, pure; an input that makes no sense in a state leaves it as it is. */
export function transition<T>(state: WatchState<T>, input: WatchInput<T>): Transition<T> {
  switch (input.type) {
    case 'page': {
      if (state.tag !== 'empty' && state.tag !== 'listing') return { state };
      const pages = state.tag === 'listing' ? state.entries : [];
      const entries = [...pages, [...input.entries]];
      if (input.next !== undefined)
        return { state: { tag: 'listing', expired: state.expired, entries, next: input.next } };
      return { state: { tag: 'listed', resourceVersion: input.resourceVersion }, list: entries.flat() };
    }
    case 'opened':
      return { state: state.tag === 'listed' ? { ...state, tag: 'watching' } : state };
    case 'events': {
      const last = input.events.at(-1);
      if (state.tag !== 'watching' || last === undefined) return { state };
      return { state: { tag: 'watching', resourceVersion: last.resourceVersion } };
    }
    case 'closed':
      return { state: state.tag === 'watching' ? { ...state, tag: 'listed' } : state };
    case 'expired':
      return { state: { tag: 'empty', expired: state.tag === 'listing' ? state.expired + 1 : 0 } };
  }
}
