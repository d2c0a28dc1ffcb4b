/** Cleans up outside the cluster before an object may vanish. */
import { KubeConfig } from '@kubernetes/client-node';
import { KubeClient, Operator, objectController, run } from 'kopf-ts';
import { configMaps } from './kinds.ts';

const config = new KubeConfig();
config.loadFromDefault();
const client = new KubeClient(config);
const operator = new Operator({ client });
/** Stands for something outside that the operator makes for each object. */
const outside = new Set<string>();

operator.add(
  objectController({
    name: 'outside',
    store: operator.watch(configMaps, { namespace: 'default', labelSelector: 'example.dev/outside=true' }),
    async reconcile({ metadata }) {
      if (!outside.has(metadata.name)) console.log(`made something for ${metadata.name}`);
      outside.add(metadata.name);
      return undefined;
    },
    finalizer: {
      client,
      kind: configMaps,
      name: 'example.dev/outside',
      async cleanup({ metadata }) {
        outside.delete(metadata.name);
        console.log(`cleaned up after ${metadata.name}`);
      },
    },
  }),
);

await run(operator);
console.log('stopped');
