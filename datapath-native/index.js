/** Loads the addon and turns it into what index.d.ts promises: long lists cross the border in pieces, so that no call
 * holds the event loop for more than a few milliseconds. */
import { createRequire } from 'node:module';
import { setImmediate } from 'node:timers/promises';
import { decodeEvents } from './flow-events.js';
import { decodeRecords } from './records.js';

const require = createRequire(import.meta.url);

/** Rows that are converted in one go: 10 to 30 µs each. */
const PIECE = 250;

/** In the package the build puts it below dist/; a bundle has it beside itself. */
function load() {
  try {
    return require('./dist/bpf-loader-napi.node');
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
  }
  try {
    return require('./bpf-loader-napi.node');
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
    throw new Error('bpf-loader-napi is not built; run: npm run build -w datapath-native');
  }
}

const native = load();
const names = native.flowNames();

/** Steps cut into groups of at most PIECE rows, each with where it came from. */
function* pieces(steps) {
  let group = [];
  let origins = [];
  let size = 0;
  for (const [index, step] of steps.entries()) {
    const rows = step.op === 'bump' ? step.slots : step.rows;
    const field = step.op === 'bump' ? 'slots' : 'rows';
    for (let from = 0; from < rows.length || (from === 0 && rows.length === 0); from += PIECE) {
      const some = rows.slice(from, from + PIECE);
      group.push({ op: step.op, [field]: some });
      origins.push({ step: index, from });
      size += some.length;
      if (size >= PIECE) {
        yield { group, origins };
        group = [];
        origins = [];
        size = 0;
      }
    }
  }
  if (group.length > 0) yield { group, origins };
}

export class Datapath {
  #native;
  /** The end of the last change: changes never mix. */
  #last = Promise.resolve();

  constructor(opened) {
    this.#native = opened;
  }

  static async open(options) {
    return new Datapath(await native.open(options));
  }

  static async uninstall(pinDir) {
    await native.uninstall(pinDir);
  }

  get adopted() {
    return this.#native.adopted;
  }

  async attachPod(ifindex) {
    await this.#native.attachPods([ifindex]);
  }

  async attachProxy(ifindex, netns, interfaceName) {
    await this.#native.attachProxy(ifindex, netns, interfaceName);
  }

  async attachPods(ifindexes) {
    await this.#native.attachPods(ifindexes);
  }

  async detachPod(ifindex) {
    await this.#native.detachPod(ifindex);
  }

  async attachedPods() {
    return await this.#native.attachedPods();
  }

  apply(steps) {
    const result = this.#last.then(() => this.#applyNow(steps));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #applyNow(steps) {
    const errors = [];
    for (const { group, origins } of pieces(steps)) {
      for (const error of await this.#native.apply(group)) {
        const { step, from } = origins[error.step];
        errors.push({ step, row: from + error.row, message: error.message });
      }
    }
    return errors;
  }

  async dump(table) {
    await this.#last;
    const snapshot = await this.#native.dump(table);
    const rows = [];
    for (;;) {
      const some = snapshot.next(PIECE);
      if (some.length === 0) return rows;
      for (const row of some) rows.push(row);
      await setImmediate();
    }
  }

  async lookupAddress(address) {
    return (await this.#native.lookupAddress(address)) ?? undefined;
  }

  async lookupPolicy(key) {
    return (await this.#native.lookupPolicy(key)) ?? undefined;
  }

  events(callback) {
    let stopped = false;
    this.#native.subscribe((columns) => {
      if (!stopped) callback(decodeEvents(columns, names), columns.lost);
    });
    return {
      stop: () => {
        if (stopped) return;
        stopped = true;
        this.#native.unsubscribe();
      },
    };
  }

  async metrics() {
    return await this.#native.metrics();
  }

  async mapUse() {
    return await this.#native.mapUse();
  }

  close() {
    this.#native.close();
  }
}

export function serveRecords(options, callback) {
  let stopped = false;
  const server = native.serveRecords(options, (columns) => {
    if (!stopped) callback(decodeRecords(columns), columns.lost);
  });
  return {
    stop: () => {
      if (stopped) return;
      stopped = true;
      server.stop();
    },
  };
}

export const { links, routes, replaceRoute, deleteRoute, replaceNeighbour, peerCredentials, releaseMemory } = native;
export const constants = Object.freeze(native.constants());
