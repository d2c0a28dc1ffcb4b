import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { AdsServer, adsServerOptions, ResourceCache } from '@weft/xds';
import { bootstrap } from '../charts/envoy-bootstrap.ts';
import { type EnvoyFiles, envoyFiles } from '../test/local/envoy/binary.ts';
import { EnvoyPod } from './testing/envoy-pod.ts';
import { whyNot } from './testing/lab.ts';

const reason =
  whyNot() ?? (existsSync(join(import.meta.dirname, 'dist/weft-envoy')) ? undefined : 'weft-envoy is not built');
const suite = reason === undefined ? describe : describe.skip;
const skipped = reason === undefined ? '' : ` (skipped: ${reason})`;

let pod: EnvoyPod;
let port = 0;
beforeEach(async () => {
  pod = new EnvoyPod();
  port = await freePort();
});
afterEach(() => pod.stop());

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** What kubelet's probe sees. */
function isOpen(at = port): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(at, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

/** A field of /proc/PID/status. */
function procStatus(pid: number, field: string): string {
  return new RegExp(`^${field}:[ \\t]*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
}

suite(`weft-envoy with a script for Envoy${skipped}`, () => {
  test('waits idle and not ready without an agent, connects when there is one, and is ready with nothing to run', async () => {
    pod.script('exec sleep 1000');
    pod.start(port);
    await pod.until('idle', () => pod.log.includes('"state":"idle"'));
    expect(await isOpen()).toBe(false);
    await pod.agentUp(false);
    expect(await pod.state('idle', 2_000)).toEqual({ pod: 'pod-1', envoy: '0.0.1', state: 'idle', restarts: 0 });
    await sleep(50);
    expect(await isOpen()).toBe(true);
  });

  test('what dies at once is started again, first at once and then ever later, with its last words as the reason', async () => {
    pod.script('echo "[critical][main] no such thing" >&2; exit 3');
    await pod.agentUp(true);
    const began = performance.now();
    pod.start(port);
    await pod.until('five restarts', () => (pod.reports.at(-1)?.restarts ?? 0) >= 5);
    // 0, 100, 200, 400, 800 ms.
    expect(performance.now() - began).toBeGreaterThan(1_400);
    expect(pod.reports.at(-1)).toMatchObject({
      state: 'starting',
      error: 'Envoy ended with status 3: [critical][main] no such thing',
    });
    expect(await isOpen()).toBe(false);
    pod.order(false);
    expect(await pod.state('idle')).not.toHaveProperty('error');
  });

  test('what does not end on SIGTERM is killed after 5 s; lines that are not for it close the connection only', async () => {
    pod.script("trap '' TERM; while :; do sleep 0.1; done");
    await pod.agentUp(true);
    pod.start(port);
    const { pid } = await pod.state('starting');
    pod.say('{"run":"yes"}\n');
    await pod.until('a second connection', () => pod.log.includes("can't be read") && pod.reports.length >= 3);
    expect(pod.reports.at(-1)).toMatchObject({ state: 'starting', pid, restarts: 0 });
    const began = performance.now();
    pod.order(false);
    await pod.state('idle');
    expect(performance.now() - began).toBeGreaterThan(4_900);
  });

  test('as first process of its namespace it reaps what others leave behind, and SIGTERM ends all', async () => {
    pod.script('(sleep 0.2 &) ; (sleep 0.3 &) ; exec sleep 1000');
    await pod.agentUp(true);
    pod.start(port, {}, ['unshare', '--pid', '--fork', '--kill-child']);
    await pod.state('starting');
    const first = Number(readFileSync(`/proc/${pod.pid}/task/${pod.pid}/children`, 'utf8').trim());
    const children = () => readFileSync(`/proc/${first}/task/${first}/children`, 'utf8').trim().split(' ');
    await pod.until('three children', () => children().length === 3);
    await pod.until('one child', () => children().length === 1);
    process.kill(first, 'SIGTERM');
    await pod.until('the end', () => pod.exitCode === 0);
    expect(pod.reports.at(-1)?.state).toBe('stopped');
  });

  test('records that nobody reads hold up nobody and take bounded memory; what is left out is counted', async () => {
    // 12 MB in lines of 60 bytes, then a mark that all got through.
    pod.script(`yes '{"n":"${'x'.repeat(52)}"}' | head -n 200000; touch ${pod.dir}/run/done; exec sleep 1000`);
    await pod.agentUp(true);
    pod.start(port);
    await pod.until('the script to get through', () => existsSync(join(pod.dir, 'run/done')));
    expect(Number.parseInt(procStatus(pod.pid, 'VmHWM'), 10)).toBeLessThan(12 * 1024);
    await pod.recordsUp();
    let [lines, lost, seen] = [0, 0, 0];
    await pod.until('all records', () => {
      for (const line of pod.records.slice(seen)) {
        const record = JSON.parse(line) as { n?: string; lost?: number };
        if (record.lost === undefined) lines += 1;
        else lost += record.lost;
      }
      seen = pod.records.length;
      return lines + lost === 200_000;
    });
    expect(lines).toBeGreaterThan(60_000);
    expect(lost).toBeGreaterThan(100_000);
  });

  test('a child that closes its output is still watched, and costs nothing', async () => {
    pod.script('exec >&- 2>&-; exec sleep 1000');
    await pod.agentUp(true);
    pod.start(port);
    const { pid = 0 } = await pod.state('starting');
    await sleep(300);
    // Clock ticks of 10 ms in user and kernel; what there is to do are the questions whether it is live.
    const ticks = (): number => {
      const fields = readFileSync(`/proc/${pod.pid}/stat`, 'utf8').split(' ');
      return Number(fields[13]) + Number(fields[14]);
    };
    const before = ticks();
    await sleep(1_000);
    expect(ticks() - before).toBeLessThan(5);
    process.kill(pid, 'SIGKILL');
    await pod.until('another', () => pod.reports.some(({ restarts }) => restarts === 1));
  });
});

suite(`weft-envoy with Envoy${skipped}`, () => {
  let files: EnvoyFiles;
  let listener = 0;
  let ads: Server | undefined;
  beforeAll(async () => {
    files = await envoyFiles();
  }, 120_000);
  beforeEach(async () => {
    listener = await freePort();
    pod.program(files.program);
  });
  afterEach(() => ads?.forceShutdown());

  /** The chart's bootstrap, with a listener that answers each request by itself. */
  function withListener(): object {
    const http = {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
      stat_prefix: 'test',
      // How long after its last answer a connection is left to the client to close; 5 s by default.
      drain_timeout: '0.2s',
      access_log: [
        {
          name: 'stdout',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog',
            log_format: { json_format: { m: '%REQ(:METHOD)%', p: '%REQ(:PATH)%', s: '%RESPONSE_CODE%' } },
          },
        },
      ],
      http_filters: [
        {
          name: 'router',
          typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
        },
      ],
      route_config: {
        virtual_hosts: [
          { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }] },
        ],
      },
    };
    const base = bootstrap({ heapBytes: 256 << 20, connections: 1000 }) as { static_resources: object };
    return {
      ...base,
      static_resources: {
        ...base.static_resources,
        listeners: [
          {
            name: 'test',
            address: { socket_address: { address: '127.0.0.1', port_value: listener } },
            filter_chains: [{ filters: [{ name: 'http', typed_config: http }] }],
          },
        ],
      },
    };
  }

  /** The agent with ADS, which has nothing for Envoy, and with an order. */
  async function agent(run: boolean): Promise<void> {
    const cache = new ResourceCache();
    cache.commit({ views: new Map([['pod-1', {}]]) });
    ads = new Server(adsServerOptions);
    new AdsServer({ cache, authorize: (_call, nodeId) => ({ view: nodeId }) }).addTo(ads);
    const path = join(pod.agentDir, 'xds.sock');
    await new Promise<void>((resolve, reject) =>
      ads?.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
    execFileSync('chown', ['0:1337', path]);
    execFileSync('chmod', ['0660', path]);
    await pod.agentUp(run);
  }

  const get = async (path: string): Promise<number> => (await fetch(`http://127.0.0.1:${listener}${path}`)).status;

  /** A root with the capabilities that the chart's container has. */
  const asInPod = ['setpriv', '--bounding-set=-all,+net_raw,+setuid,+setgid', '--'];

  test('runs as user 1337 with NET_RAW alone, is live within a second, and again after kill -9', async () => {
    await agent(false);
    pod.start(port, withListener(), asInPod);
    await pod.state('idle');
    pod.order(true);
    const { pid = 0, envoy } = await pod.state('running', 3_000);
    expect(envoy).toMatch(/^1\.\d+\.\d+$/);
    for (const one of [pid, pod.pid]) {
      expect(procStatus(one, 'Uid')).toBe('1337\t1337\t1337\t1337');
      expect(procStatus(one, 'Gid')).toBe('1337\t1337\t1337\t1337');
      expect(procStatus(one, 'Groups').trim()).toBe('');
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) expect(procStatus(one, set)).toBe('0000000000002000');
      expect(procStatus(one, 'NoNewPrivs')).toBe('1');
    }
    expect(procStatus(pid, 'SigBlk')).toBe('0000000000000000');
    expect(await isOpen()).toBe(true);
    process.kill(pid, 'SIGKILL');
    await pod.until('another Envoy', () => pod.reports.at(-1)?.state === 'running' && pod.reports.at(-1)?.pid !== pid);
    expect(pod.reports.at(-1)).toMatchObject({ restarts: 1 });
    expect(await get('/')).toBe(200);
  });

  test("requests' records arrive within a second, also those of an agent's absence, and Envoy goes on without one", async () => {
    await agent(true);
    await pod.recordsUp();
    pod.start(port, withListener());
    const { pid } = await pod.state('running');
    expect(await get('/one?secret')).toBe(200);
    await pod.until('a record', () => pod.records.length === 1, 1_000);
    expect(JSON.parse(pod.records[0] ?? '')).toEqual({ m: 'GET', p: '/one?secret', s: 200 });
    ads?.forceShutdown();
    await pod.agentDown();
    expect(await get('/two')).toBe(200);
    await agent(true);
    expect(await pod.state('running')).toMatchObject({ pid, restarts: 0 });
    await pod.until('the second record', () => pod.records.some((line) => line.includes('/two')));
  });

  test('a pod that ends waits for the agent and for connections, which are told to close', async () => {
    await agent(true);
    pod.start(port, withListener());
    await pod.state('running');
    const client = connect(listener, '127.0.0.1');
    let answers = '';
    client.on('data', (data) => {
      answers += data.toString();
    });
    const request = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';
    client.write(request);
    await pod.until('an answer', () => answers.includes('200 OK'));
    expect(answers).not.toContain('connection: close');
    pod.kill('SIGTERM');
    await pod.state('draining');
    expect(await isOpen()).toBe(false);
    pod.say('{"retired":true}\n');
    await sleep(700);
    expect(pod.exitCode).toBe(null);
    // What is under way is served all the same, also a connection that came late.
    expect(await get('/late')).toBe(200);
    answers = '';
    client.write(request);
    await pod.until('a last answer', () => answers.includes('connection: close'));
    const began = performance.now();
    await pod.until('the end', () => pod.exitCode === 0);
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(pod.reports.at(-1)?.state).toBe('stopped');
  });

  test('connections that do not end are waited for as long as told', async () => {
    await agent(true);
    pod.start(port, withListener(), [], ['--drain-seconds=2']);
    await pod.state('running');
    const client = connect(listener, '127.0.0.1').on('error', () => undefined);
    client.write('GET / HTTP/1.1\r\n');
    await sleep(200);
    const began = performance.now();
    pod.kill('SIGTERM');
    await pod.state('draining');
    pod.say('{"retired":true}\n');
    await pod.until('the end', () => pod.exitCode === 0);
    const took = performance.now() - began;
    expect(took).toBeGreaterThan(1_950);
    expect(took).toBeLessThan(4_500);
    client.destroy();
  });

  test("admin prints what Envoy's admin interface answers, and says it in a sentence where none runs", async () => {
    await agent(true);
    pod.start(port, withListener());
    await pod.state('running');
    const weftEnvoy = join(import.meta.dirname, 'dist/weft-envoy');
    const [setpriv = '', ...capabilities] = asInPod;
    const admin = (...args: string[]) =>
      execFileSync(setpriv, [...capabilities, weftEnvoy, 'admin', `--run-dir=${pod.dir}/run`, ...args], {
        encoding: 'utf8',
      });
    expect(admin('/ready')).toBe('LIVE\n');
    expect(admin('POST', '/logging?level=info')).toContain('info');
    const none = spawn(weftEnvoy, ['admin', '--run-dir=/nonexistent', '/ready'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    none.stderr.on('data', (data: Buffer) => {
      said += data.toString();
    });
    const code = await new Promise((resolve) => none.on('close', resolve));
    expect({ code, said }).toEqual({
      code: 1,
      said: expect.stringContaining('it runs only while there are HTTP rules'),
    });
  });
});
