import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { envoyFiles } from '../test/local/envoy/binary.ts';

const root = join(import.meta.dirname, '..');
const built = ['bpf-loader-napi.node', 'weft-cni'].every((name) =>
  existsSync(join(root, 'datapath-native/dist', name)),
);
const reason = [process.getuid?.() === 0 ? [] : 'needs root', built ? [] : 'datapath-native is not built'].flat()[0];
const suite = reason === undefined ? describe : describe.skip;

suite(`requests through Envoy${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  test('are decided by the rules of the moment, whatever happens to the agent, to Envoy and to the rules', async () => {
    const { program } = await envoyFiles();
    const dir = mkdtempSync(join(tmpdir(), 'weft-layer7-'));
    const node = join(root, 'node_modules/.bin/node');
    const script = join(import.meta.dirname, 'testing', 'layer7.ts');
    let output = '';
    try {
      output = execFileSync('unshare', ['-n', '-m', node, script, dir, program], {
        encoding: 'utf8',
        env: { ...process.env, NODE_OPTIONS: '' },
        stdio: ['ignore', 'pipe', 'ignore'],
        timeout: 100_000,
      });
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
    const seen: Record<string, unknown> = JSON.parse(output.slice(output.indexOf('RESULT ') + 7));

    // IPv4 and IPv6; /a and /b.
    const both = (answers: string): string[] => [answers, answers];
    expect(seen).toMatchObject({
      envoy: { ips: [{ address: '10.244.1.4/32' }, { address: 'fd00:10:244:1::4/128' }] },
      layer4: both('200 200'),
      layer7: both('200 403'),
      edited: both('403 200'),
      sameRows: true,
      oldEnvoyGone: both('200 403'),
      agentDown: both('200 403'),
      agentBack: both('200 403'),
      noEnvoy: '000',
      layer4Again: both('200 200'),
      proxyRows: [],
    });
    expect(seen['newerEnvoy']).toEqual({ 200: expect.any(Number), lostSyns: 0 });
    // A connection that is open when its listener changes may be cut; none is refused, and no SYN is lost.
    const { ConnectionResetError: cut = 0, ...others } = Object(seen['otherListener']);
    expect(others).toEqual({ 200: expect.any(Number), lostSyns: 0 });
    expect(cut).toBeLessThan(3);
  }, 120_000);
});
