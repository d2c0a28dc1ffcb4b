/** Keeps this node in touch with the operator: where it is, a certificate, the stream of resources, reports. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeResourceType } from '@weft/node-api';
import { AdsClient, type ClientBatch } from '@weft/xds';
import { messageOf } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { ApiOptions } from './api.ts';
import { certify, channelOptions, type Identity } from './certificate.ts';
import { discoverOperators, loadOperators, type Operators, saveOperators } from './discovery.ts';
import type { ReportState } from './report-state.ts';
import { ReportStream } from './reports.ts';

export interface LinkOptions {
  readonly node: string;
  readonly namespace: string;
  readonly api: ApiOptions;
  /** Token with the operator's audience, bound to the agent's pod. */
  readonly tokenFile: string;
  /** Where the last known operators are kept. */
  readonly cacheFile: string;
  readonly reports: ReportState;
  /** Name → version, of an earlier life. */
  readonly held: ReadonlyMap<string, string>;
  readonly onBatch: (batch: ClientBatch) => Promise<void>;
  readonly log: Log;
}

/** A look at the list of replicas although nothing is wrong; spread over nodes by jitter. */
const REFRESH_MS = 300_000;
const RETRY_MS = 1_000;
const RETRY_MAX_MS = 30_000;

export class OperatorLink {
  readonly #options: LinkOptions;
  readonly #serverName: string;
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #operators: Operators | undefined;
  #identity: Identity | undefined;
  #ads: AdsClient | undefined;
  #streams = new Map<string, ReportStream>();
  #running: Promise<void> | undefined;
  /** For status: what the link is doing, or why it can't. */
  state = 'starting';

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#serverName = `weft-operator.${options.namespace}.svc`;
  }

  start(): void {
    this.#operators = loadOperators(this.#options.cacheFile);
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    for (const stream of this.#streams.values()) stream.stop();
    await this.#ads?.stop();
    await this.#running;
  }

  async #run(): Promise<void> {
    let retry = RETRY_MS;
    while (!this.#stopping.signal.aborted) {
      let pause = REFRESH_MS * (0.5 + Math.random());
      try {
        await this.#refresh();
        retry = RETRY_MS;
        if (this.#identity) pause = Math.min(pause, Math.max(this.#identity.renewAt - Date.now(), RETRY_MS));
        // Nobody answers: whoever is listed may be gone.
        if (!this.state.startsWith('streaming')) pause = Math.min(pause, RETRY_MAX_MS);
      } catch (error) {
        this.state = messageOf(error);
        this.#options.log('no link to the operator', { error: this.state, retryMs: retry });
        pause = retry;
        retry = Math.min(retry * 2, RETRY_MAX_MS);
      }
      this.#wake = new AbortController();
      await sleep(pause, undefined, { signal: this.#wake.signal }).catch(() => {});
    }
  }

  async #refresh(): Promise<void> {
    try {
      const found = await discoverOperators(this.#options.api, this.#options.namespace);
      if (JSON.stringify(found) !== JSON.stringify(this.#operators)) saveOperators(this.#options.cacheFile, found);
      this.#operators = found;
    } catch (error) {
      if (this.#operators === undefined) throw error;
      this.#options.log('the API server is away: going on with the operators known', { error: messageOf(error) });
    }
    await this.#renew(this.#operators);
    this.#connect(this.#operators);
  }

  async #renew(operators: Operators): Promise<void> {
    // After a change of the CA the old certificate opens nothing any more.
    const { verifiedBy, renewAt } = this.#identity ?? { verifiedBy: undefined, renewAt: 0 };
    if (verifiedBy === operators.ca && Date.now() < renewAt) return;
    const token = readFileSync(this.#options.tokenFile, 'utf8').trim();
    const problems: string[] = [];
    for (const target of operators.targets) {
      try {
        const options = { target, ca: operators.ca, token, node: this.#options.node, serverName: this.#serverName };
        const renewed = this.#identity !== undefined;
        this.#identity = await certify(options);
        if (renewed) for (const stream of this.#streams.values()) stream.reconnect();
        if (renewed) this.#ads?.reconnect();
        return;
      } catch (error) {
        problems.push(messageOf(error));
      }
    }
    throw new Error(problems.join('; '));
  }

  #connect({ targets }: Operators): void {
    const credentials = () => {
      if (this.#identity === undefined) throw new Error('there is no certificate yet');
      return this.#identity.credentials;
    };
    for (const [target, stream] of this.#streams) {
      if (targets.includes(target)) continue;
      stream.stop();
      this.#streams.delete(target);
    }
    for (const target of targets) {
      if (this.#streams.has(target)) continue;
      const stream = new ReportStream(target, credentials, this.#serverName, this.#options.reports);
      this.#streams.set(target, stream);
      stream.start();
    }
    if (this.#ads) {
      this.#ads.setTargets(targets);
      return;
    }
    this.#ads = new AdsClient({
      targets,
      credentials,
      channelOptions: channelOptions(this.#serverName),
      node: { id: this.#options.node },
      subscriptions: [{ typeUrl: nodeResourceType }],
      held: new Map([[nodeResourceType, this.#options.held]]),
      onBatch: this.#options.onBatch,
      onState: (state) => {
        const was = this.state;
        this.state =
          state.kind === 'waiting'
            ? `waiting: ${state.reason}`
            : `${state.kind}${'target' in state ? ` ${state.target}` : ''}`;
        // The list of replicas may be outdated, but a reconnect that works at once needs no look at it.
        if (state.kind === 'waiting' && state.ms > 2_000 && was !== this.state) this.#wake.abort();
      },
    });
    this.#ads.start();
  }
}
