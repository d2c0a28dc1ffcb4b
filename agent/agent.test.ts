import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';

const root = join(import.meta.dirname, '..');
const built = ['bpf-loader-napi.node', 'weft-cni'].every((name) =>
  existsSync(join(root, 'datapath-native/dist', name)),
);
const reason = process.getuid?.() !== 0 ? 'needs root' : built ? undefined : 'datapath-native is not built';
const suite = reason === undefined ? describe : describe.skip;

suite(`an agent on a node${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  test('serves pods, enforces, reports, and survives kill -9 without an operator', () => {
    const dir = mkdtempSync(join(tmpdir(), 'weft-agent-'));
    const script = join(import.meta.dirname, 'testing', 'scenario.ts');
    const node = join(root, 'node_modules/.bin/node');
    // Jest's own options are not the agent's.
    const env = { ...process.env, NODE_OPTIONS: '' };
    let output = '';
    try {
      output = execFileSync('unshare', ['-n', '-m', node, script, dir, '50'], {
        encoding: 'utf8',
        env,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
    const seen: Record<string, unknown> = JSON.parse(output.slice(output.indexOf('RESULT ') + 7));

    expect(seen).toMatchObject({
      conflist: true,
      allowed: 'open',
      revoked: 'closed',
      synced: true,
      sameTables: true,
      afterRestart: 'open',
      del: {},
      podsLeft: 2,
      links: 8,
    });
    expect(seen['frontend']).toMatchObject({
      ips: [{ address: '10.244.1.2/32' }, { address: 'fd00:10:244:1::2/128' }],
    });
    expect(seen['explained']).toMatchObject([
      {
        ok: {
          decisions: [
            { direction: 'egress', reason: 'no-policy' },
            {
              direction: 'ingress',
              verdict: 'allow',
              enforced: true,
              rule: { policy: 'CiliumNetworkPolicy/shop/api-from-frontend' },
            },
          ],
        },
      },
    ]);
    const denied = {
      direction: 'ingress',
      pod: 'shop/api',
      verdict: 'deny',
      reason: 'default-deny',
      enforced: true,
      defaultDeny: ['CiliumNetworkPolicy/shop/api-from-frontend'],
    };
    expect(seen['explainedRemote']).toMatchObject([
      { ok: { decisions: [{ ...denied, peer: '10.244.2.9', kind: 'pod', class: '0000000000000002' }] } },
    ]);
    // Behind the Service is port 8080, of a pod elsewhere and of one here.
    expect(seen['explainedService']).toMatchObject([
      {
        ok: {
          decisions: [
            { direction: 'egress', pod: 'shop/frontend', reason: 'no-policy', peer: '10.244.1.3' },
            denied,
            { direction: 'egress', pod: 'shop/frontend', reason: 'no-policy', peer: '10.244.2.9' },
          ],
        },
      },
    ]);
    expect(seen['explainedEmpty']).toEqual([{ error: expect.stringContaining('has no backends') }]);
    expect(seen['explainedStrangers']).toEqual([{ error: expect.stringContaining('is a pod of this node') }]);
    expect(seen['deniedFlows']).toMatchObject([
      {
        ok: {
          reason: 'default-deny',
          source: { pod: { namespace: 'shop', name: 'frontend' } },
          ingress: { defaultDeny: ['CiliumNetworkPolicy/shop/api-from-frontend'] },
        },
      },
    ]);
    expect(seen['requests']).toMatchObject([
      {
        ok: {
          type: 'request',
          verdict: 'denied',
          reason: 'http-denied',
          source: { address: '10.244.2.9', port: 4000 },
          destination: { pod: { namespace: 'shop', name: 'api' } },
          http: { method: 'GET', path: '/api', authority: 'api', status: 403, durationMs: 2 },
        },
      },
    ]);
    expect(seen['badFilter']).toEqual([{ error: expect.stringContaining('write 403, 4xx or 500-504') }]);
    const proxied = {
      row: [{ ok: { table: 'proxy', slot: 3 } }],
      policy: [{ ok: { set: '1234567890abcd11', verdict: 'proxy', proxyPort: expect.any(Number) } }],
    };
    expect(seen['proxied']).toMatchObject({
      ...proxied,
      status: {
        wanted: true,
        pods: [{ uid: 'uid-envoy', slot: 3, current: true, state: 'running', configuration: 'all' }],
        listeners: [{ id: 'fedcba9876543210', state: 'ready' }],
      },
    });
    expect(seen['proxyTold']).toEqual([{ run: false }, { run: true }]);
    // Envoy does not serve while the agent is away, and the kernel goes on sending to it.
    expect(seen['proxiedAfterRestart']).toMatchObject(proxied);
    expect(seen['reported']).toContainEqual({ name: 'policyset/1234567890abcd01', error: '' });
    expect(seen['agentDown']).toMatchObject({
      allowed: 'open',
      add: { failed: expect.stringContaining('code') },
      del: {},
    });
    expect(seen['stranger']).toContain('only root may ask for networks');
    expect(seen['nft']).toContain('meta mark & 0x00200000 == 0x00200000 masquerade');
    expect(seen['routes']).toContainEqual(expect.stringContaining('10.244.2.0/24 via 10.250.7.2'));
  }, 60_000);
});
