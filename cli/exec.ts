/** Runs a small program in Weft's own pods and reads the lines of JSON that it prints. */
import { Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { CoreV1Api, Exec, KubeConfig, type V1Status } from '@kubernetes/client-node';

export const system = 'weft-system';

export function loadConfig(path: string | undefined): KubeConfig {
  const config = new KubeConfig();
  if (path === undefined) config.loadFromDefault();
  else config.loadFromFile(path);
  return config;
}

export interface WeftPod {
  readonly name: string;
  readonly node: string;
}

/** Running pods of a component: weft-agent or weft-operator. */
export async function podsOf(config: KubeConfig, component: string): Promise<readonly WeftPod[]> {
  const list = await config
    .makeApiClient(CoreV1Api)
    .listNamespacedPod({ namespace: system, labelSelector: `app.kubernetes.io/name=${component}` });
  const running = list.items.filter((pod) => pod.status?.phase === 'Running' && !pod.metadata?.deletionTimestamp);
  if (running.length === 0) {
    throw new Error(`no pod of ${component} runs in namespace ${system}: is Weft installed in this cluster?`);
  }
  return running.map((pod) => ({ name: pod.metadata?.name ?? '', node: pod.spec?.nodeName ?? '' }));
}

class Collect extends Writable {
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
  const out = new Collect(onLine);
  const err = new Collect((line) => errors.push(line));
  const status = await new Promise<V1Status>((resolve, reject) => {
    new Exec(config)
      .exec(system, pod, container, [...command], out, err, null, false, resolve)
      .then((socket) => {
        // After a status these come too late to matter.
        const broke = () => reject(new Error(`the connection to ${pod} broke`));
        socket.addEventListener('error', broke);
        socket.addEventListener('close', broke);
      })
      .catch((cause: unknown) => reject(cause instanceof Error ? cause : new Error(`can't run a command in ${pod}`)));
  });
  out.end();
  if (status.status !== 'Success') throw new Error(`${pod}: ${errors.join(' ') || (status.message ?? 'failed')}`);
}
