/**
 * Requests through Envoy on a node of its own, for layer7.test.ts: run it in fresh network and mount namespaces. Real
 * addon, CNI binary, operator protocols and Envoy; only what starts Envoy is the test's. Prints one line of JSON.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Resource } from '../tables/resource.ts';
import { FakeSupervisor } from './envoy.ts';
import { originMessage, passingListenerMessage, pathRouteMessage } from './envoy-messages.ts';
import { AgentLab, namespaceOf, sh } from './lab.ts';
import { killed, startEnvoy } from './real-envoy.ts';
import { address, endpoint, envoy, httpSet, node, policySet } from './resources.ts';

const SET = 0x1234567890abcd01n;
const [ONE, TWO] = [1n, 2n] as const;
const CLIENT = 7n;
const [dir = '', binary = ''] = process.argv.slice(2);
const nameOf = (id: bigint): string => `l7/${id.toString(16).padStart(16, '0')}`;
const listener = (id: bigint): [string, Resource] =>
  envoy('listener', nameOf(id), passingListenerMessage(nameOf(id)), id);
const rule = (id: bigint, path: string): [string, Resource] =>
  envoy('route', nameOf(id), pathRouteMessage(nameOf(id), path));
const origin = envoy('cluster', 'origin', originMessage('origin'));

const lab = await AgentLab.make(dir);
const { operator } = lab;
const put = async (resources: [string, Resource][], deletes: string[] = []): Promise<void> => {
  const last = `uid-last-${performance.now()}`;
  operator.put(new Map([...resources, endpoint(last, last, 0n, 1n)]), deletes);
  await operator.heardOf(`endpoint/${last}`);
};
const seen: Record<string, unknown> = {};

function get(path: string, host: string): string {
  const curl = `curl -s -o /dev/null -w '%{http_code}' --max-time 3 'http://${host}${path}' || true`;
  return sh(`ip netns exec ${namespaceOf('frontend')} ${curl}`).trim();
}

/** Requests for /a, one connection each, while something happens. @returns how often each answer came, the longest wait */
async function meanwhile(host: string, task: () => Promise<void>): Promise<Record<string, number>> {
  const script = `import collections, http.client, json, sys, threading
stop = threading.Event(); threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
seen = collections.Counter()
def resent():
    names, values = [line.split() for line in open('/proc/self/net/netstat') if line.startswith('TcpExt:')]
    return int(values[names.index('TCPSynRetrans')])
before = resent()
while not stop.is_set():
    connection = http.client.HTTPConnection('${host}', timeout=5)
    try:
        connection.request('GET', '/a'); seen[str(connection.getresponse().status)] += 1
    except Exception as error: seen[type(error).__name__] += 1
    finally: connection.close()
    if seen.total() == 1: print(flush=True)
print(json.dumps({**seen, 'lostSyns': resent() - before}))`;
  const args = ['netns', 'exec', namespaceOf('frontend'), 'python3', '-c', script];
  const client = spawn('ip', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  client.stdout.on('data', (chunk) => {
    text += String(chunk);
  });
  await once(client.stdout, 'data');
  await sleep(100);
  await task();
  await sleep(300);
  const closed = once(client, 'close');
  client.stdin.end();
  await closed;
  return JSON.parse(text);
}

/** A proxy pod, and what starts Envoy in it. */
class EnvoyPod {
  readonly uid: string;
  readonly supervisor: FakeSupervisor;
  readonly #wrapper: string;
  #envoy: ChildProcess | undefined;

  constructor(name: string) {
    this.uid = `uid-${name}`;
    this.#wrapper = join(dir, `${name}.sh`);
    const command = `exec ip netns exec ${namespaceOf(name)} '${binary}' "$@"`;
    writeFileSync(this.#wrapper, `#!/bin/sh\n${command}\n`, { mode: 0o755 });
    sh(`ip netns add ${namespaceOf(name)}`);
    seen[name] = lab.cni('ADD', name);
    this.supervisor = new FakeSupervisor(`${dir}/run/envoy`, this.uid);
    this.supervisor.say('idle');
  }

  async runs(): Promise<void> {
    while (!this.told({ run: true })) await sleep(5);
    const scratch = join(dir, this.uid);
    mkdirSync(scratch);
    this.#envoy = startEnvoy(this.#wrapper, scratch, `${dir}/run/envoy`, this.uid);
    this.supervisor.say('running', { pid: this.#envoy.pid });
    while (!JSON.stringify(await this.#status()).includes('"all"')) await sleep(20);
  }

  told(message: unknown): boolean {
    return this.supervisor.told.some((one) => JSON.stringify(one) === JSON.stringify(message));
  }

  async stop(): Promise<void> {
    if (this.#envoy) await killed(this.#envoy);
    this.supervisor.stop();
  }

  async #status(): Promise<unknown> {
    const [status] = await lab.ask({ command: 'status' });
    const pods: unknown = Object(Object(Object(status).ok).envoy).pods;
    return Array.isArray(pods) ? pods.find((pod) => Object(pod).uid === this.uid) : undefined;
  }
}

operator.put(
  new Map([
    node('n1', ['10.250.7.1', 'fd00:250::1'], ['10.244.1.0/24', 'fd00:10:244:1::/64']),
    address('0.0.0.0/0', 1n, 0),
    address('::/0', 1n, 0),
    address('10.244.0.0/16', 2n, 1),
    policySet(SET, CLIENT),
    endpoint('uid-frontend', 'frontend', 0n, CLIENT),
    endpoint('uid-api', 'api', SET, 2n),
    endpoint('uid-envoy', 'envoy', 0n, 2n, true),
    endpoint('uid-newer', 'newer', 0n, 2n, true),
  ]),
);
let agent = lab.startAgent();
const proxies: EnvoyPod[] = [];
let server: ChildProcess | undefined;
try {
  await lab.ready();
  for (const pod of ['frontend', 'api']) {
    sh(`ip netns add ${namespaceOf(pod)}`);
    lab.cni('ADD', pod);
  }
  const addresses = sh(`ip -n ${namespaceOf('api')} -o addr show eth0 scope global`);
  const v4 = String(/inet ([\d.]+)/.exec(addresses)?.[1]);
  const v6 = `[${/inet6 ([\da-f:]+)/.exec(addresses)?.[1]}]`;
  sh(`mkdir ${dir}/www; echo a > ${dir}/www/a; echo b > ${dir}/www/b`);
  const serve = ['python3', '-m', 'http.server', '80', '--bind', '::', '--directory', `${dir}/www`];
  server = spawn('ip', ['netns', 'exec', namespaceOf('api'), ...serve], { stdio: 'ignore' });
  while (get('/a', v4) !== '200') await sleep(50);
  const answers = () => [v4, v6].map((host) => [get('/a', host), get('/b', host)].join(' '));

  seen['layer4'] = answers();
  const proxy = new EnvoyPod('envoy');
  proxies.push(proxy);
  const added = put([origin, listener(ONE), rule(ONE, '/a'), httpSet(SET, CLIENT, ONE)]);
  await proxy.runs();
  await added;
  seen['layer7'] = answers();

  const rows = JSON.stringify(await lab.ask({ command: 'dump', table: 'policy' }));
  await put([rule(ONE, '/b')]);
  await sleep(200);
  seen['edited'] = answers();
  seen['sameRows'] = rows === JSON.stringify(await lab.ask({ command: 'dump', table: 'policy' }));
  await put([rule(ONE, '/a')]);
  await sleep(200);

  seen['otherListener'] = await meanwhile(v4, () => put([listener(TWO), rule(TWO, '/a'), httpSet(SET, CLIENT, TWO)]));
  seen['newerEnvoy'] = await meanwhile(v4, async () => {
    const newer = new EnvoyPod('newer');
    proxies.push(newer);
    await newer.runs();
    proxy.supervisor.say('draining');
    while (!proxy.told({ retired: true })) await sleep(5);
  });
  await proxy.stop();
  seen['oldEnvoyGone'] = answers();

  agent.kill('SIGKILL');
  await sleep(200);
  seen['agentDown'] = answers();
  agent = lab.startAgent();
  await lab.ready();
  seen['agentBack'] = answers();

  await proxies[1]?.stop();
  seen['noEnvoy'] = get('/a', v4);
  const gone = [ONE, TWO].flatMap((id) => [`envoy/listener/${nameOf(id)}`, `envoy/route/${nameOf(id)}`]);
  await put([policySet(SET, CLIENT)], gone);
  seen['layer4Again'] = answers();
  lab.cni('DEL', 'newer');
  seen['proxyRows'] = await lab.ask({ command: 'dump', table: 'proxy' });
} finally {
  for (const proxy of proxies) await proxy.stop();
  server?.kill();
  agent.kill('SIGTERM');
  await lab.clear(['frontend', 'api', 'envoy', 'newer']);
}
process.stdout.write(`RESULT ${JSON.stringify(seen)}\n`);
process.exit(0);
