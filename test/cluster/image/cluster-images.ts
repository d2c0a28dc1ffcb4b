/** The images that a cluster itself needs: what holds a pod's namespaces, and its DNS server. */
import { join } from 'node:path';
import { goProgram } from '../gobuild.ts';
import { buildArchive } from './archive.ts';
import { buildLayer } from './layer.ts';
import { corednsImage, pauseImage } from './names.ts';

/** The path of the archive with both. @param waitingFor told what is being built */
export async function clusterImages(waitingFor: (what: string) => void): Promise<string> {
  const onLine = (line: string) => waitingFor(`go: ${line}`);
  const pause = await goProgram('pause', { onLine });
  const coredns = await goProgram('coredns', { onLine });
  const [pauseLayer, corednsLayer] = await Promise.all([
    buildLayer([{ from: join(pause, 'pause'), to: '/pause', mode: 0o755 }]),
    buildLayer([{ from: join(coredns, 'coredns'), to: '/coredns', mode: 0o755 }]),
  ]);
  return buildArchive([
    { name: pauseImage, layers: [pauseLayer], entrypoint: ['/pause'], user: '65535:65535' },
    { name: corednsImage, layers: [corednsLayer], entrypoint: ['/coredns'] },
  ]);
}
