/** Runs a small program in Weft's own pods and reads the lines of JSON that it prints. */
import { Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { Exec, type KubeConfig, type V1Status } from '@kubernetes/client-node';
import { type KubeClient, KubeError } from 'kopf-ts';
import { get, text } from '../sources/parse.ts';
import { execFailure } from './errors.ts';
import { sourceKinds } from './kinds.ts';

const system = 'weft-system';

export interface WeftPod {
  readonly name: string;
  readonly node: string;
}

/** Running pods of a component: weft-agent or weft-operator. @throws Error where there are none */
export async function podsOf(client: KubeClient, component: string): Promise<readonly WeftPod[]> {
  const labelSelector = `app.kubernetes.io/name=${component}`;
  const pods = await client.list(sourceKinds.Pod, { namespace: system, labelSelector });
  const running = pods.filter(
    (pod) => get(pod, 'status', 'phase') === 'Running' && pod.metadata.deletionTimestamp === undefined,
  );
  if (running.length === 0) {
    throw new Error(
      `no pod of ${component} runs in namespace ${system}: install Weft in this cluster, or choose another --context`,
    );
  }
  return running.map((pod) => ({ name: pod.metadata.name, node: text(get(pod, 'spec', 'nodeName')) }));
}

/** Calls back with each whole line; the last may lack its line break. */
class Lines extends Writable {
  #rest = '';
  readonly #decoder = new StringDecoder('utf8');
  readonly #line: (line: string) => void;
  constructor(line: (line: string) => void) {
    super();
    this.#line = line;
  }
  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    const lines = (this.#rest + this.#decoder.write(chunk)).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#line(line);
    done();
  }
  override _final(done: () => void): void {
    if (this.#rest !== '') this.#line(this.#rest);
    done();
  }
}

/** Calls back with each line of standard output until the program ends. @throws Error with its standard error */
export async function execLines(
  config: KubeConfig,
  pod: string,
  container: string,
  command: readonly string[],
  onLine: (line: string) => void,
): Promise<void> {
  const errors: string[] = [];
  const out = new Lines((line) => line !== '' && onLine(line));
  const err = new Lines((line) => errors.push(line));
  const status = await new Promise<V1Status>((resolve, reject) => {
    new Exec(config)
      .exec(system, pod, container, [...command], out, err, null, false, resolve)
      .then((socket) => {
        // After a status these come too late to matter.
        const broke = () => reject(new Error(`the connection to ${pod} broke`));
        socket.addEventListener('error', broke);
        socket.addEventListener('close', broke);
      })
      .catch((cause: unknown) => reject(execFailure(pod, detailOf(cause))));
  });
  out.end();
  err.end();
  if (status.status !== 'Success') throw new Error(`${pod}: ${errors.join(' ') || (status.message ?? 'failed')}`);
}

/** The client rejects with the ErrorEvent of its WebSocket. */
function detailOf(cause: unknown): string {
  if (typeof cause !== 'object' || cause === null || !('message' in cause)) return 'no reason is known';
  return String(cause.message) || 'no reason is known';
}

/** The one answer of a program. @throws Error where it is not JSON */
export async function execJson(
  config: KubeConfig,
  pod: string,
  container: string,
  command: readonly string[],
): Promise<unknown> {
  const lines: string[] = [];
  await execLines(config, pod, container, command, (line) => lines.push(line));
  try {
    return JSON.parse(lines.join('')) as unknown;
  } catch (cause) {
    throw new Error(`${pod} did not answer with JSON: is it of this version of Weft?`, { cause });
  }
}

/** Whether a list was refused for want of rights, or its kind is not installed. */
export const isUnavailable = (error: unknown): error is KubeError =>
  error instanceof KubeError && (error.status === 403 || error.isNotFound);
