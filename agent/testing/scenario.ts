/**
 * The agent's life on a node of its own, for agent.test.ts: run it in fresh network and mount namespaces. Real addon,
 * real CNI binary, real operator protocols. Prints one line of JSON with what was seen.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestOperator } from './operator.ts';
import { address, endpoint, node, policySet, service } from './resources.ts';

const dir = process.argv[2] ?? '';
const services = Number(process.argv[3] ?? '50');
const agentMain = process.argv[4] ?? join(import.meta.dirname, '..', 'main.ts');
const root = join(import.meta.dirname, '..', '..');
const cni = join(root, 'datapath-native', 'dist', 'weft-cni');
const sh = (command: string): string => execFileSync('sh', ['-ec', command], { encoding: 'utf8' });
const SET = 0x1234567890abcd01n;

sh(`mount --make-rprivate /; mkdir -p ${dir}/bpf ${dir}/cgroup ${dir}/run ${dir}/conf ${dir}/bin ${dir}/account
mount -t bpf bpf ${dir}/bpf; mount -t cgroup2 none ${dir}/cgroup; mkdir -p ${dir}/cgroup/wagt-${process.pid}
mount -t tmpfs tmpfs /run/netns 2>/dev/null || { mkdir -p /run/netns; mount -t tmpfs tmpfs /run/netns; }
ip link set lo up; ip link add u0 type veth peer name u1; ip link set u0 up; ip link set u1 up
ip addr add 10.250.7.1/24 dev u0; ip addr add fd00:250::1/64 dev u0 nodad`);

const operator = await TestOperator.start('n1', `${dir}/ca`);
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
    ...Array.from({ length: services }, (_, i) =>
      service(`s${i}`, [`10.96.${i >> 8}.${i & 255}`], [`10.244.2.${(i % 200) + 2}`, `10.244.1.${(i % 200) + 2}`]),
    ),
  ]),
);
const api = await operator.serveApi();
writeFileSync(join(dir, 'account', 'token'), 'api-token');
writeFileSync(join(dir, 'account', 'ca.crt'), operator.caPem);
writeFileSync(join(dir, 'token'), 'operator-token');

function startAgent(): ChildProcess {
  const args = ['--node-name', 'n1', '--api-server', api, '--run-dir', `${dir}/run`, '--pin-dir', `${dir}/bpf/weft`];
  args.push(
    '--cgroup',
    `${dir}/cgroup/wagt-${process.pid}`,
    '--cni-conf-dir',
    `${dir}/conf`,
    '--cni-bin-dir',
    `${dir}/bin`,
  );
  args.push('--cni-binary', cni, '--token-file', `${dir}/token`, '--account-dir', `${dir}/account`);
  const v8 = ['--max-semi-space-size=1', '--optimize-for-size'];
  return spawn(process.execPath, [...v8, agentMain, ...args], { stdio: ['ignore', 'inherit', 'inherit'] });
}

async function ready(): Promise<number> {
  const started = performance.now();
  for (let i = 0; i < 400; i++) {
    const answer = await fetch('http://127.0.0.1:15021/readyz').catch(() => undefined);
    if (answer?.ok) return performance.now() - started;
    await sleep(25);
  }
  throw new Error('the agent did not become ready');
}

function ask(request: unknown): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(`${dir}/run/agent.sock`, () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('error', reject);
    socket.on('close', () =>
      resolve(
        text
          .split('\n')
          .filter(Boolean)
          .map((line): unknown => JSON.parse(line)),
      ),
    );
  });
}

function runCni(command: string, pod: string): unknown {
  const conf = { cniVersion: '1.0.0', name: 'weft', type: 'weft-cni', socket: `${dir}/run/cni.sock` };
  const args = `K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${pod};K8S_POD_UID=uid-${pod};K8S_POD_INFRA_CONTAINER_ID=c-${pod}`;
  const env = {
    ...process.env,
    CNI_COMMAND: command,
    CNI_CONTAINERID: `c-${pod}`,
    CNI_IFNAME: 'eth0',
    CNI_PATH: dir,
    CNI_ARGS: args,
  };
  try {
    const out = execFileSync(cni, {
      encoding: 'utf8',
      input: JSON.stringify(conf),
      env: { ...env, CNI_NETNS: `/run/netns/wagt-${pod}` },
    });
    return out === '' ? {} : JSON.parse(out);
  } catch (error) {
    return { failed: String(Reflect.get(Object(error), 'stdout')) };
  }
}

const seen: Record<string, unknown> = {};
const attempt = (from: string, to: string): string =>
  sh(
    `ip netns exec wagt-${from} timeout 1 python3 -c "import socket; socket.create_connection(('${to}', 80), 0.8); print('open')" 2>/dev/null || echo closed`,
  ).trim();

let agent = startAgent();
try {
  seen['startMs'] = await ready();
  for (const pod of ['frontend', 'api']) sh(`ip netns add wagt-${pod}`);
  seen['frontend'] = runCni('ADD', 'frontend');
  seen['api'] = runCni('ADD', 'api');
  const apiAddress = String(sh('ip -n wagt-api -4 -o addr show eth0').match(/inet ([\d.]+)/)?.[1]);
  const server = spawn('ip', ['netns', 'exec', 'wagt-api', 'python3', '-m', 'http.server', '80'], { stdio: 'ignore' });
  await sleep(800);
  seen['allowed'] = attempt('frontend', apiAddress);
  seen['explained'] = await ask({ command: 'explain', source: 'shop/frontend', destination: 'shop/api', port: 80 });
  operator.put(new Map([policySet(SET, 99n)]));
  await sleep(500);
  seen['revoked'] = attempt('frontend', apiAddress);
  seen['deniedFlows'] = await ask({ command: 'flows', pod: 'shop/api', verdict: 'dropped', limit: 1 });
  operator.put(new Map([policySet(SET, 7n)]));
  await sleep(500);
  seen['reported'] = [...operator.reported.values()].map(({ name, error }) => ({ name, error }));
  seen['conflist'] = existsSync(`${dir}/conf/05-weft.conflist`);
  seen['synced'] = operator.synced;
  seen['nft'] = sh('nft list table inet weft');
  seen['routes'] = sh('ip route; ip -6 route')
    .split('\n')
    .filter((line) => line.includes('244'));
  seen['rssMiB'] = Number(readFileSync(`/proc/${agent.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)?.[1]) / 1024;
  const before = (await ask({ command: 'dump', table: 'policy' })).concat(
    await ask({ command: 'dump', table: 'pods' }),
  );
  operator.stop();
  agent.kill('SIGKILL');
  await sleep(200);
  sh('ip netns add wagt-stranger');
  seen['agentDown'] = { allowed: attempt('frontend', apiAddress), add: runCni('ADD', 'stranger') };
  agent = startAgent();
  seen['restartMs'] = await ready();
  const after = (await ask({ command: 'dump', table: 'policy' })).concat(await ask({ command: 'dump', table: 'pods' }));
  const withoutEpochs = (rows: unknown) => JSON.stringify(rows);
  seen['sameTables'] = withoutEpochs(before) === withoutEpochs(after);
  seen['status'] = (await ask({ command: 'status' }))[0];
  seen['afterRestart'] = attempt('frontend', apiAddress);
  seen['del'] = runCni('DEL', 'api');
  seen['podsLeft'] = (await ask({ command: 'dump', table: 'pods' })).length;
  server.kill();
} finally {
  process.stderr.write(`${JSON.stringify([seen['startMs'], seen['rssMiB'], seen['restartMs']])}\n`);
  agent.kill('SIGTERM');
  for (const pod of ['frontend', 'api'])
    sh(`ip netns pids wagt-${pod} 2>/dev/null | xargs -r kill; ip netns del wagt-${pod} 2>/dev/null || true`);
  await sleep(300);
  sh(`rmdir ${dir}/cgroup/wagt-${process.pid} || true`);
}
process.stdout.write(`RESULT ${JSON.stringify(seen)}\n`);
process.exit(0);
