/**
 * The agent's life on a node of its own, for agent.test.ts: run it in fresh network and mount namespaces. Real addon,
 * real CNI binary, real operator protocols. Prints one line of JSON with what was seen.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { FakeEnvoy, FakeSupervisor } from './envoy.ts';
import { AgentLab, sh } from './lab.ts';
import { address, endpoint, envoy, httpSet, node, policySet, service } from './resources.ts';

const SET = 0x1234567890abcd01n;
const LISTENER = 0xfedcba9876543210n;
const HTTP_SET = 0x1234567890abcd11n;
const listenerName = 'l7/fedcba9876543210';
const services = Number(process.argv[3] ?? '50');
const lab = await AgentLab.make(process.argv[2] ?? '', process.argv[4]);
const { dir, operator } = lab;
operator.put(
  new Map([
    node('n1', ['10.250.7.1', 'fd00:250::1'], ['10.244.1.0/24', 'fd00:10:244:1::/64']),
    node('n2', ['10.250.7.2', 'fd00:250::2'], ['10.244.2.0/24', 'fd00:10:244:2::/64']),
    address('0.0.0.0/0', 1n, 0),
    address('::/0', 1n, 0),
    address('10.244.0.0/16', 2n, 1),
    address('10.250.7.1/32', 3n, 2),
    policySet(SET, 7n),
    endpoint('uid-frontend', 'frontend', 0n, 7n),
    endpoint('uid-api', 'api', SET, 2n),
    endpoint('uid-gone', 'gone', 0n, 1n),
    endpoint('uid-envoy', 'envoy', 0n, 1n, true),
    ...Array.from({ length: services }, (_, i) =>
      service(`s${i}`, [`10.96.${i >> 8}.${i & 255}`], [`10.244.2.${(i % 200) + 2}`, `10.244.1.${(i % 200) + 2}`]),
    ),
  ]),
);
const seen: Record<string, unknown> = {};
const attempt = (from: string, to: string): string =>
  sh(
    `ip netns exec wagt-${from} timeout 20 python3 -c "import socket; socket.create_connection(('${to}', 80), 3); print('open')" 2>/dev/null || echo closed`,
  ).trim();

/** The CNI socket's word to another user, for whom its doors are opened. */
function askAsNobody(): string {
  const socket = `${dir}/run/cni.sock`;
  sh(`chmod 711 ${dir} ${dir}/run; chmod 666 ${socket}`);
  const script = `import os, socket
os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX); s.connect('${socket}'); s.send(b'{"command":"STATUS"}\\n'); print(s.recv(1000).decode())`;
  return execFileSync('python3', ['-c', script], { encoding: 'utf8' });
}

/** As the supervisor of Envoy forwards it. */
async function forward(record: object): Promise<void> {
  const socket = connect(`${dir}/run/envoy/records.sock`);
  await new Promise<void>((resolve) => socket.end(`${JSON.stringify(record)}\n`, () => resolve()));
  await sleep(200);
}

/** What the kernel and the agent say of Envoy. */
async function aboutEnvoy(): Promise<unknown> {
  const [status] = await lab.ask({ command: 'status' });
  const rows = await lab.ask({ command: 'dump', table: 'policy' });
  return {
    row: await lab.ask({ command: 'dump', table: 'proxy' }),
    status: Object(Object(status).ok).envoy,
    policy: rows.filter((row) => JSON.stringify(row).includes('"proxy"')),
  };
}

let agent = lab.startAgent();
let supervisor: FakeSupervisor | undefined;
let proxy: FakeEnvoy | undefined;
try {
  seen['startMs'] = await lab.ready();
  for (const pod of ['frontend', 'api', 'gone']) sh(`ip netns add wagt-${pod}`);
  seen['frontend'] = lab.cni('ADD', 'frontend');
  seen['api'] = lab.cni('ADD', 'api');
  seen['gone'] = lab.cni('ADD', 'gone');
  seen['stranger'] = askAsNobody();
  const apiAddress = String(sh('ip -n wagt-api -4 -o addr show eth0').match(/inet ([\d.]+)/)?.[1]);
  const server = spawn('ip', ['netns', 'exec', 'wagt-api', 'python3', '-m', 'http.server', '80'], { stdio: 'ignore' });
  await sleep(800);
  seen['allowed'] = attempt('frontend', apiAddress);
  seen['explained'] = await lab.ask({ command: 'explain', source: 'shop/frontend', destination: 'shop/api', port: 80 });
  const question = { command: 'explain', direction: 'ingress', protocol: 'TCP' };
  seen['explainedRemote'] = await lab.ask({ ...question, source: '10.244.2.9', destination: apiAddress, port: '80' });
  operator.put(
    new Map([
      service('api', ['10.96.200.1'], ['10.244.2.9', apiAddress]),
      service('none', ['10.96.200.2'], []),
      endpoint('uid-last', 'last', 0n, 1n),
    ]),
  );
  await operator.heardOf('endpoint/uid-last');
  const behind = { command: 'explain', source: 'shop/frontend', port: 80 };
  seen['explainedService'] = await lab.ask({ ...behind, destination: '10.96.200.1' });
  seen['explainedEmpty'] = await lab.ask({ ...behind, destination: '10.96.200.2' });
  seen['explainedStrangers'] = await lab.ask({ ...question, source: '192.0.2.1', destination: '192.0.2.2', port: 80 });
  operator.put(new Map([policySet(SET, 99n)]));
  await sleep(500);
  seen['revoked'] = attempt('frontend', apiAddress);
  seen['deniedFlows'] = await lab.ask({ command: 'flows', pod: 'shop/api', verdict: 'dropped', limit: 1 });
  operator.put(new Map([policySet(SET, 7n)]));
  await sleep(500);
  const [src, dst] = ['10.244.2.9:4000', `${apiAddress}:80`];
  const http = { r: 'denied', m: 'GET', p: '/api?secret', a: 'api', v: 'HTTP/1.1', s: 403, c: 'direct_response', d: 2 };
  await forward({ t: `${Date.now()}`, l: 'l7/00000000000000ff', src, dst, up: null, ...http });
  seen['requests'] = await lab.ask({ command: 'flows', type: 'request', pod: 'shop/api', status: '4xx', path: '/api' });
  seen['badFilter'] = await lab.ask({ command: 'flows', status: 'many' });
  seen['reported'] = [...operator.reported.values()].map(({ name, error }) => ({ name, error }));
  seen['conflist'] = existsSync(`${dir}/conf/05-weft.conflist`);
  seen['synced'] = operator.isSynced;
  sh('ip netns add wagt-envoy');
  seen['proxyAdded'] = lab.cni('ADD', 'envoy');
  supervisor = new FakeSupervisor(`${dir}/run/envoy`, 'uid-envoy');
  proxy = new FakeEnvoy(`${dir}/run/envoy`, 'uid-envoy');
  supervisor.say('running');
  await sleep(200);
  operator.put(
    new Map([
      envoy('listener', listenerName, Buffer.from('listener'), LISTENER),
      envoy('route', listenerName, Buffer.from('routes')),
      httpSet(HTTP_SET, 7n, LISTENER),
    ]),
  );
  await operator.heardOf('policyset/1234567890abcd11');
  seen['proxied'] = await aboutEnvoy();
  seen['proxyTold'] = supervisor.told;
  seen['nft'] = sh('nft list table inet weft');
  seen['routes'] = sh('ip route; ip -6 route')
    .split('\n')
    .filter((line) => line.includes('244'));
  seen['rssMiB'] = Number(readFileSync(`/proc/${agent.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)?.[1]) / 1024;
  const gone = (row: unknown): boolean => JSON.stringify(row).includes('"10.244.1.4"');
  const before = (await lab.ask({ command: 'dump', table: 'policy' })).concat(
    (await lab.ask({ command: 'dump', table: 'pods' })).filter((row) => !gone(row)),
  );
  operator.stop();
  agent.kill('SIGKILL');
  await sleep(200);
  sh('ip netns add wagt-stranger');
  seen['agentDown'] = {
    allowed: attempt('frontend', apiAddress),
    add: lab.cni('ADD', 'stranger'),
    del: lab.cni('DEL', 'gone'),
  };
  agent = lab.startAgent();
  seen['restartMs'] = await lab.ready();
  seen['proxiedAfterRestart'] = await aboutEnvoy();
  seen['links'] = sh(`ls ${dir}/bpf/weft/v2/links`).match(/pod-/g)?.length;
  const after = (await lab.ask({ command: 'dump', table: 'policy' })).concat(
    await lab.ask({ command: 'dump', table: 'pods' }),
  );
  const withoutEpochs = (rows: unknown) => JSON.stringify(rows);
  seen['sameTables'] = withoutEpochs(before) === withoutEpochs(after);
  seen['status'] = (await lab.ask({ command: 'status' }))[0];
  seen['afterRestart'] = attempt('frontend', apiAddress);
  seen['del'] = lab.cni('DEL', 'api');
  seen['podsLeft'] = (await lab.ask({ command: 'dump', table: 'pods' })).length;
  server.kill();
} finally {
  process.stderr.write(`${JSON.stringify([seen['startMs'], seen['rssMiB'], seen['restartMs']])}\n`);
  agent.kill('SIGTERM');
  supervisor?.stop();
  proxy?.stop();
  await lab.clear(['frontend', 'api', 'gone', 'stranger', 'envoy']);
}
process.stdout.write(`RESULT ${JSON.stringify(seen)}\n`);
process.exit(0);
