import { sign } from 'node:crypto';
import { credentials, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ReportsClient } from '@weft/node-api';
import { certify as askAsAgent } from '../agent/operator/certificate.ts';
import { podKind, secretKind } from './kinds.ts';
import { certify, newKeys, TestAgent } from './testing/agent.ts';
import { eventually, type RunningOperator, TestCluster } from './testing/cluster.ts';

let cluster: TestCluster;
let running: RunningOperator;
let ca: string;

beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.addNode('node-a', 0);
  await cluster.addNode('node-b', 1);
  running = await cluster.operator();
  ca = await cluster.caPem();
}, 300_000);

afterAll(() => cluster?.stop());

async function agentToken(name: string, audience = 'weft-operator', account = 'weft-agent'): Promise<string> {
  const pod = await cluster.addPod({ namespace: 'weft-system', name, node: 'node-a', account });
  return cluster.token(account, audience, pod);
}

function ask(token: string, keys = newKeys(), proof?: Buffer): Promise<unknown> {
  return certify(running.operator.port, ca, token, keys, proof);
}

/** What a gRPC error says. */
function refusedWith(details: RegExp): object {
  return expect.objectContaining({ code: status.PERMISSION_DENIED, details: expect.stringMatching(details) });
}

describe('a certificate', () => {
  test("is given to an agent pod, for the node that the API server's review names", async () => {
    await expect(ask(await agentToken('good'))).resolves.toMatchObject({ node: 'node-a' });
  });

  test("is refused for the token of another pod's service account", async () => {
    await expect(ask(await agentToken('foreign', 'weft-operator', 'other'))).rejects.toEqual(
      refusedWith(/only system:serviceaccount:weft-system:weft-agent gets a certificate/),
    );
  });

  test("of another node's token is that node's, and the agent that asks refuses it", async () => {
    const options = { ca, node: 'node-b', serverName: 'weft-operator.weft-system.svc' };
    const asking = askAsAgent({
      ...options,
      target: `127.0.0.1:${running.operator.port}`,
      token: await agentToken('borrowed'),
    });
    await expect(asking).rejects.toThrow('the operator takes this node for node-a, --node-name says node-b');
  });

  test('is refused for a token of another audience', async () => {
    await expect(ask(await agentToken('audience', 'vault'))).rejects.toEqual(
      refusedWith(/does not accept the token for audience "weft-operator"/),
    );
  });

  test('is refused for a token that is good for the API server itself', async () => {
    await expect(ask(await cluster.token('weft-agent'))).rejects.toEqual(refusedWith(/does not accept the token/));
  });

  test('is refused for a token that is bound to no pod', async () => {
    await expect(ask(await cluster.token('weft-agent', 'weft-operator'))).rejects.toEqual(
      refusedWith(/not bound to a pod on a node/),
    );
  });

  test("is refused for a deleted pod's token, also while the API server still remembers it as good", async () => {
    const token = await agentToken('deleted');
    await expect(ask(token)).resolves.toMatchObject({ node: 'node-a' });
    await cluster.admin.delete(podKind, { namespace: 'weft-system', name: 'deleted' });
    await expect(ask(token)).rejects.toEqual(
      refusedWith(/does not run on node node-a any more|does not accept the token/),
    );
  });

  test('is refused for the token of a pod whose name was taken by another pod', async () => {
    const token = await agentToken('again');
    await cluster.admin.delete(podKind, { namespace: 'weft-system', name: 'again' });
    await agentToken('again');
    await expect(ask(token)).rejects.toEqual(
      refusedWith(/does not run on node node-a any more|does not accept the token/),
    );
  });

  test('is refused where the proof was made with another key, or over another token', async () => {
    const token = await agentToken('proof');
    const keys = newKeys();
    const other = sign('sha256', Buffer.from(`weft certify\n${token}`), newKeys().privateKey);
    await expect(ask(token, keys, other)).rejects.toEqual(refusedWith(/the proof was not made with the private key/));
    const replayed = sign('sha256', Buffer.from('weft certify\nanother'), keys.privateKey);
    await expect(ask(token, keys, replayed)).rejects.toEqual(refusedWith(/the proof was not made/));
    await expect(ask(token, { ...keys, publicKey: Buffer.from('x') })).rejects.toEqual(refusedWith(/not a public key/));
  });

  test('is refused for what is no token at all', async () => {
    await expect(ask('')).rejects.toEqual(refusedWith(/empty or too long/));
    await expect(ask('x'.repeat(20_000))).rejects.toEqual(refusedWith(/empty or too long/));
    await expect(ask('not.a.token')).rejects.toEqual(refusedWith(/does not accept the token/));
  });
});

describe('an agent', () => {
  test("with node A's certificate that asks for node B's state is refused, and gets nothing", async () => {
    const keys = newKeys();
    const certificate = await certify(running.operator.port, ca, await agentToken('curious'), keys);
    const agent = new TestAgent({ port: running.operator.port, certificate, keys, node: 'node-b' });
    await eventually(() => {
      expect(agent.states).toContainEqual(
        expect.objectContaining({
          reason: expect.stringMatching(/certificate is of node node-a, and asks for node "node-b"/),
        }),
      );
    });
    expect(agent.resources.size).toBe(0);
    await agent.stop();
  });

  test('reports of its own node only, whatever it says', async () => {
    const agent = await cluster.agent('node-b', running.operator.port);
    await eventually(() => {
      const nodes = running.operator.snapshot().nodes;
      expect(nodes.filter(({ connected }) => connected).map(({ name }) => name)).toEqual(['node-b']);
    });
    await agent.stop();
    await eventually(() => expect(running.operator.snapshot().nodes.some(({ connected }) => connected)).toBe(false));
  });

  test('without a certificate, or with one of another CA, gets no state and may not report', async () => {
    const other = await TestCluster.start();
    try {
      await other.addNode('node-a', 0);
      const theirs = await other.operator();
      const keys = newKeys();
      const pod = await other.addPod({ namespace: 'weft-system', name: 'p', node: 'node-a', account: 'weft-agent' });
      const token = await other.token('weft-agent', 'weft-operator', pod);
      const certificate = await certify(theirs.operator.port, await other.caPem(), token, keys);
      const agent = new TestAgent({ port: running.operator.port, certificate: { ...certificate, caPem: ca }, keys });
      await eventually(() => {
        expect(agent.states).toContainEqual(
          // A client of good manners does not even show a certificate of a CA that the server does not name.
          expect.objectContaining({
            reason: expect.stringMatching(/PERMISSION_DENIED: (this needs a|the) client certificate/),
          }),
        );
      });
      expect(agent.resources.size).toBe(0);
      await agent.stop();
    } finally {
      await other.stop();
    }
    const bare = new ReportsClient(`127.0.0.1:${running.operator.port}`, credentials.createSsl(Buffer.from(ca)), {
      'grpc.ssl_target_name_override': 'weft-operator.weft-system.svc',
    });
    const stream = bare.report();
    const error = await new Promise((resolve) => stream.on('error', resolve));
    expect(error).toEqual(refusedWith(/this needs a client certificate/));
    bare.close();
  }, 60_000);
});

describe('the certificate authority', () => {
  test('is shared by all replicas and survives restarts', async () => {
    const second = await cluster.operator({ advertiseAddress: '192.0.2.2' });
    expect(await cluster.caPem()).toBe(ca);
    const token = await agentToken('second');
    await expect(certify(second.operator.port, ca, token, newKeys())).resolves.toMatchObject({
      node: 'node-a',
      caPem: ca,
    });
    await second.stop();
  });

  test('whose Secret is damaged is not replaced; the log says what to do', async () => {
    const found = await cluster.admin.get(secretKind, { namespace: 'weft-system', name: 'weft-ca' });
    const damaged = { ...found, data: { ...found.data, 'tls.key': Buffer.from('nonsense').toString('base64') } };
    await cluster.admin.replace(secretKind, damaged);
    const third = cluster.operator({ advertiseAddress: '192.0.2.3' });
    third.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 500));
    const now = await cluster.admin.get(secretKind, { namespace: 'weft-system', name: 'weft-ca' });
    expect(now.data).toEqual(damaged.data);
    await cluster.admin.replace(secretKind, { ...now, data: found.data ?? {} });
    const { log } = await third;
    expect(log.join('\n')).toMatch(/Secret weft-system\/weft-ca holds no usable CA .*Restore it; or delete it/);
  });

  test('that was deleted is made anew by the next replica; one that has the old one asks for a restart', async () => {
    const old = await cluster.operator({ advertiseAddress: '192.0.2.4', rootCheckMs: 100 });
    await cluster.admin.delete(secretKind, { namespace: 'weft-system', name: 'weft-ca' });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(old.operator.broken).toBeUndefined();
    const fresh = await cluster.operator({ advertiseAddress: '192.0.2.5', rootCheckMs: 100 });
    const made = await cluster.caPem();
    expect(made).not.toBe(ca);
    await eventually(() =>
      expect(old.operator.broken).toMatch(/weft-ca holds another CA than this process started with/),
    );
    // The old one leaves the ConfigMap alone from then on.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await cluster.caPem()).toBe(made);
    expect(fresh.operator.broken).toBeUndefined();
    await old.stop();
    await fresh.stop();
  });
});
