/** The CustomResourceDefinitions of the Gateway API, as its own module has them. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { KubeClient, KubeObject } from 'kopf-ts';
import { parse } from 'yaml';
import { z } from 'zod';
import { crdKind } from '../kinds.ts';
import { create, eventually } from './cluster.ts';

const MODULE = 'sigs.k8s.io/gateway-api@v1.6.3';

const definition = z.looseObject({
  metadata: z.looseObject({ name: z.string() }),
  spec: z.looseObject({ versions: z.array(z.looseObject({ name: z.string(), served: z.boolean() })) }),
});
export type GatewayCrd = z.output<typeof definition>;

/** Of the standard channel: `httproutes`, `grpcroutes` or `referencegrants`. */
export async function gatewayCrd(plural: string): Promise<GatewayCrd> {
  // Outside of the project: it is no dependency of anything that is built.
  const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', MODULE], { cwd: tmpdir() });
  const { Dir } = z.object({ Dir: z.string() }).parse(JSON.parse(stdout));
  const file = join(Dir, 'config/crd/standard', `gateway.networking.k8s.io_${plural}.yaml`);
  return definition.parse(parse(await readFile(file, 'utf8')));
}

/** Creates the definition and waits until its objects are served. */
export async function installGatewayCrd(client: KubeClient, crd: GatewayCrd): Promise<void> {
  await create(client, crdKind, crd);
  await eventually(async () => {
    const { status }: KubeObject & { readonly status?: unknown } = await client.get(crdKind, crd.metadata);
    if (!/"Established"/.test(JSON.stringify(status))) throw new Error(`${crd.metadata.name} is not established`);
  });
}
