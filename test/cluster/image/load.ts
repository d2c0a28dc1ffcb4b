import { execInNode } from '../node.ts';
import { imagesOf } from './archive.ts';

/** Imports an archive into a node's containerd, unless all of its images are there with the same digests. */
export async function loadImage(archive: string, init: number, node: string): Promise<void> {
  const ctr = ['ctr', '--namespace', 'k8s.io', 'images'];
  const wanted = await imagesOf(archive);
  const listed = await execInNode(init, [...ctr, 'list']);
  const present = new Set(listed.stdout.split('\n').map((line) => imageLine(line)));
  if (wanted.every(({ name, digest }) => present.has(`${name} ${digest}`))) return;
  const imported = await execInNode(init, [...ctr, 'import', archive]);
  if (imported.code !== 0) {
    throw new Error(
      `could not load ${wanted.map(({ name }) => name).join(', ')} on ${node}: ${imported.stderr.trim()}`,
    );
  }
}

/** Columns of `ctr images list`: name, media type, digest, and others. */
function imageLine(line: string): string {
  const [name = '', , digest = ''] = line.split(/\s+/);
  return `${name} ${digest}`;
}
