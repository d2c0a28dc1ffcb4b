/** Mirrors a kind and prints what changes: `node examples/01-mirror.ts`. */
import { KubeConfig } from '@kubernetes/client-node';
import { KubeClient, keyOf, Operator, run } from 'kopf-ts';
import { configMaps } from './kinds.ts';

const config = new KubeConfig();
config.loadFromDefault();
const operator = new Operator({ client: new KubeClient(config) });

// Only what the transform returns stays in memory.
const store = operator.watch(configMaps, {
  namespace: 'default',
  transform: ({ metadata, data = {} }) => ({ key: keyOf(metadata), size: Object.keys(data).length }),
});

store.subscribe(({ upserts, deletes }) => {
  for (const { key, size } of upserts) console.log(`${key} has ${size} entries`);
  for (const { key } of deletes) console.log(`${key} is gone`);
});

await run(operator);
console.log('stopped');
