/** The images of Weft and of the demo, made of what ships. */
import { join } from 'node:path';
import { cached, hashOf, hashTree } from '../cluster/cache.ts';
import { buildArchive } from '../cluster/image/archive.ts';
import { buildLayer, type Layer } from '../cluster/image/layer.ts';
import { debianLayer } from '../cluster/image/rootfs.ts';
import { run } from '../cluster/run.ts';
import { checkout } from './build.ts';
import { type BundleName, bundlePath } from './bundles.ts';
import { envoyFiles } from './envoy/binary.ts';

export interface WeftImages {
  /** OCI archive with all of them. */
  readonly archive: string;
  /** Names with a tag that follows the contents, so that a new build rolls out. */
  readonly agent: string;
  readonly operator: string;
  readonly envoy: string;
}

/** As the demo's manifests name it. */
export const demoImage = 'weft.local/demo:1';

/** Memory before speed: the agent works in short bursts, and packets never pass through it. */
export const agentV8Flags = ['--max-semi-space-size=1'];
const app = '/weft';
const bundle = (name: BundleName) => ({ from: bundlePath(name), to: `${app}/${name}.mjs`, mode: 0o644 });

function tag(...layers: readonly Layer[]): string {
  return hashOf(...layers.map((layer) => layer.digest)).slice(0, 12);
}

/** Node's own binary, as the npm package `node` brings it. */
function nodeLayer(): Promise<Layer> {
  return buildLayer([
    { from: join(checkout, 'node_modules', 'node', 'bin', 'node'), to: '/usr/local/bin/node', mode: 0o755 },
  ]);
}

/** Envoy and the licences, then its first process; below them a root with glibc and no shell. */
async function envoyLayers(waitingFor: (what: string) => void): Promise<readonly Layer[]> {
  const { program, licence } = await envoyFiles(waitingFor);
  waitingFor('Debian root of Envoy');
  const base = await debianLayer({ bare: true, onLine: waitingFor });
  waitingFor('layers');
  const envoy = await buildLayer([
    { from: program, to: '/usr/local/bin/envoy', mode: 0o755 },
    { from: licence, to: '/usr/share/doc/envoy/LICENSE.wheel', mode: 0o644 },
    { from: join(checkout, 'LICENSE'), to: '/usr/share/doc/envoy/LICENSE', mode: 0o644 },
  ]);
  const first = join(checkout, 'datapath-native', 'dist', 'weft-envoy');
  return [base, envoy, await buildLayer([{ from: first, to: '/usr/local/bin/weft-envoy', mode: 0o755 }])];
}

export async function weftImages(waitingFor: (what: string) => void): Promise<WeftImages> {
  waitingFor('Debian root');
  const base = await debianLayer({ packages: ['libstdc++6', 'nftables'], onLine: waitingFor });
  const node = await nodeLayer();
  waitingFor('layers');
  const native = join(checkout, 'datapath-native');
  const agent = await buildLayer([
    bundle('agent'),
    bundle('agentctl'),
    { from: join(native, 'dist', 'bpf-loader-napi.node'), to: `${app}/bpf-loader-napi.node`, mode: 0o755 },
    { from: join(native, 'dist', 'weft-cni'), to: `${app}/weft-cni`, mode: 0o755 },
  ]);
  const operator = await buildLayer([bundle('operator'), bundle('operatorctl')]);
  const envoy = await envoyLayers(waitingFor);
  const names = {
    agent: `weft.local/agent:${tag(base, node, agent)}`,
    operator: `weft.local/operator:${tag(base, node, operator)}`,
    envoy: `weft.local/envoy:${tag(...envoy)}`,
  };
  waitingFor('archive');
  const archive = await buildArchive([
    { name: names.agent, layers: [base, node, agent], entrypoint: ['node', ...agentV8Flags, `${app}/agent.mjs`] },
    { name: names.operator, layers: [base, node, operator], entrypoint: ['node', `${app}/operator.mjs`] },
    { name: names.envoy, layers: envoy, entrypoint: ['weft-envoy'] },
  ]);
  return { archive, ...names };
}

/** The archive with the demo's image: its server, a shell and curl. */
export async function demoArchive(waitingFor: (what: string) => void): Promise<string> {
  const source = join(checkout, 'demo', 'server');
  waitingFor('demo server');
  const server = await cached('go', hashOf('demo', hashTree(source), process.arch), async (out) => {
    await run(['go', 'build', '-trimpath', '-buildvcs=false', '-ldflags', '-s -w', '-o', out, '.'], {
      cwd: source,
      env: { CGO_ENABLED: '0', GOWORK: 'off' },
    });
  });
  const base = await debianLayer({ packages: ['curl', 'ca-certificates'], onLine: waitingFor });
  const layer = await buildLayer([{ from: server, to: '/usr/local/bin/demo', mode: 0o755 }]);
  return buildArchive([{ name: demoImage, layers: [base, layer], entrypoint: ['demo'], cmd: ['serve'] }]);
}
