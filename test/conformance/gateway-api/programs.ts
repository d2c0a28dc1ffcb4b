/** The suite and what its pods run, built from their Go modules, kept by content. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cached, hashOf, hashTree } from '../../cluster/cache.ts';
import { buildArchive, type Image } from '../../cluster/image/archive.ts';
import { buildLayer } from '../../cluster/image/layer.ts';
import { run } from '../../cluster/run.ts';

type Say = (waitingFor: string) => void;

const suiteDir = join(import.meta.dirname, 'suite');
const echoDir = join(import.meta.dirname, 'echo-advanced');
const echoPackage = 'istio.io/istio/pkg/test/echo/cmd';
const goEnv = { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly', GOWORK: 'off' };

/** The path of the suite's program. */
export function suiteProgram(say: Say): Promise<string> {
  return cached('go', hashOf('gateway-api', hashTree(suiteDir), process.arch), async (out) => {
    await run(['nice', '-n', '5', 'go', 'test', '-c', '-trimpath', '-ldflags', '-s -w', '-o', out, '.'], {
      cwd: suiteDir,
      env: goEnv,
      dieWithParent: true,
      onLine: (line) => say(`go: ${line}`),
    });
  });
}

/** Directory of a module's sources, downloaded if need be. */
async function moduleDir(module: string): Promise<string> {
  await run(['go', 'mod', 'download', module], { cwd: suiteDir, env: goEnv });
  return (await run(['go', 'list', '-m', '-f', '{{.Dir}}', module], { cwd: suiteDir, env: goEnv })).trim();
}

/** The directory with the CRDs of the standard channel, of the suite's own version. */
export async function standardCrds(): Promise<string> {
  return join(await moduleDir('sigs.k8s.io/gateway-api'), 'config', 'crd', 'standard');
}

/** The archive with the images that the manifests of the mesh's tests name, under these names. */
export async function suiteImages(say: Say): Promise<string> {
  const module = await moduleDir('sigs.k8s.io/gateway-api/conformance');
  const names = imageNames(await readFile(join(module, 'mesh', 'manifests.yaml'), 'utf8'));
  return buildArchive(await Promise.all(names.map((name) => imageOf(name, say))));
}

/** Names of the images in manifests, each once. */
export function imageNames(manifests: string): string[] {
  return [...new Set([...manifests.matchAll(/^\s*(?:- )?image: *(\S+)$/gm)].map(([, name = '']) => name))];
}

async function imageOf(name: string, say: Say): Promise<Image> {
  const repository = name.slice(0, name.lastIndexOf(':'));
  if (repository === 'registry.k8s.io/gateway-api/echo-advanced') return echoAdvanced(name, say);
  throw new Error(`the suite's pods need an image ${name}, and nothing here builds it: add it to programs.ts`);
}

/** As the Gateway API's own is made: Istio's echo server, and the client that the tests run in its pods. */
async function echoAdvanced(name: string, say: Say): Promise<Image> {
  const dir = await cached('go', hashOf('echo-advanced', hashTree(echoDir), process.arch), async (out) => {
    await mkdir(out);
    const flags = ['-trimpath', '-buildvcs=false', '-v', '-ldflags', '-s -w', '-o', `${out}/`];
    await run(['nice', '-n', '5', 'go', 'build', ...flags, `${echoPackage}/client`, `${echoPackage}/server`], {
      cwd: echoDir,
      env: goEnv,
      dieWithParent: true,
      onLine: (line) => say(`go: ${line}`),
    });
    await run([
      ...['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '3650', '-subj', '/CN=echo'],
      ...['-keyout', join(out, 'cert.key'), '-out', join(out, 'cert.crt')],
    ]);
  });
  const layer = await buildLayer([
    { from: join(dir, 'client'), to: '/usr/local/bin/client', mode: 0o755 },
    { from: join(dir, 'server'), to: '/usr/local/bin/server', mode: 0o755 },
    { from: join(dir, 'cert.crt'), to: '/cert.crt', mode: 0o644 },
    { from: join(dir, 'cert.key'), to: '/cert.key', mode: 0o644 },
  ]);
  return { name, layers: [layer], entrypoint: ['/usr/local/bin/server'], user: '1338:1338' };
}
