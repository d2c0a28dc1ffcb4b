import { type KubeClient, KubeError, type KubeObject } from 'kopf-ts';
import { ciliumCrds } from '../crds/index.ts';
import { crdKind } from './kinds.ts';

/**
 * Installs the CustomResourceDefinitions of policy kinds that others own, where they are absent. What is there already
 * is theirs and is never changed. Resolves with the names of those that it made.
 */
export async function installAbsentCrds(client: KubeClient, signal?: AbortSignal): Promise<string[]> {
  const made: string[] = [];
  for (const crd of ciliumCrds) {
    if (await exists(client, crd.metadata.name, signal)) continue;
    try {
      await client.create<KubeObject>(crdKind, crd, { signal });
      made.push(crd.metadata.name);
    } catch (error) {
      if (!(error instanceof KubeError && error.isAlreadyExists)) throw error;
    }
  }
  return made;
}

async function exists(client: KubeClient, name: string, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await client.get(crdKind, { name }, { signal });
    return true;
  } catch (error) {
    if (error instanceof KubeError && error.isNotFound) return false;
    throw error;
  }
}
