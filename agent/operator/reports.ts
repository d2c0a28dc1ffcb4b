/** One stream of reports to each replica of the operator. */
import type { ChannelCredentials, ClientDuplexStream } from '@grpc/grpc-js';
import { type NodeReport, type ReportAck, ReportsClient } from '@weft/node-api';
import { Backoff } from '@weft/xds';
import { channelOptions } from './certificate.ts';
import type { ReportState } from './report-state.ts';

/** Changes within this time travel together. */
const COALESCE_MS = 5;

export class ReportStream {
  readonly #target: string;
  readonly #credentials: () => ChannelCredentials;
  readonly #serverName: string;
  readonly #state: ReportState;
  readonly #backoff = new Backoff({ initialMs: 200, maxMs: 15_000 });
  readonly #changed = new Set<string>();
  #conditions = false;
  #dirty = false;
  #timer: NodeJS.Timeout | undefined;
  #client: ReportsClient | undefined;
  #stream: ClientDuplexStream<NodeReport, ReportAck> | undefined;
  #writable = true;
  #stopped = false;
  #unsubscribe = (): void => {};

  constructor(target: string, credentials: () => ChannelCredentials, serverName: string, state: ReportState) {
    this.#target = target;
    this.#credentials = credentials;
    this.#serverName = serverName;
    this.#state = state;
  }

  start(): void {
    this.#unsubscribe = this.#state.subscribe((what) => {
      this.#dirty = true;
      if (what === 'conditions') this.#conditions = true;
      else if (what !== 'synced') for (const name of what) this.#changed.add(name);
      this.#schedule();
    });
    this.#connect();
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    clearTimeout(this.#timer);
    this.#drop();
  }

  /** Ends the stream and opens it anew, with the newest certificate. */
  reconnect(): void {
    this.#stream?.cancel();
  }

  #connect(): void {
    if (this.#stopped) return;
    const client = new ReportsClient(this.#target, this.#credentials(), channelOptions(this.#serverName));
    const stream = client.report();
    let ended = false;
    const end = (): void => {
      if (ended) return;
      ended = true;
      this.#drop();
      if (!this.#stopped) this.#timer = setTimeout(() => this.#connect(), this.#backoff.next());
    };
    stream.on('data', () => this.#backoff.reset());
    stream.on('error', end);
    stream.on('end', end);
    stream.on('drain', () => {
      this.#writable = true;
      this.#schedule();
    });
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#client = client;
    this.#stream = stream;
    this.#clear();
    this.#writable = stream.write(this.#state.full());
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#stream === undefined || !this.#writable || !this.#dirty) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#stream) return;
      // A list of no conditions says "unchanged", except in a full report.
      const cleared = this.#conditions && this.#state.conditions.length === 0;
      const report = cleared ? this.#state.full() : this.#state.delta(this.#changed, this.#conditions);
      this.#clear();
      this.#writable = this.#stream.write(report);
    }, COALESCE_MS);
  }

  #clear(): void {
    this.#changed.clear();
    this.#conditions = false;
    this.#dirty = false;
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#stream?.cancel();
    this.#stream = undefined;
    this.#client?.close();
    this.#client = undefined;
  }
}
