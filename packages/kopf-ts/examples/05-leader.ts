/** Two replicas watch, one acts: start it twice, stop the leader, and see the other go on. */
import { randomUUID } from 'node:crypto';
import { KubeConfig } from '@kubernetes/client-node';
import { KubeClient, Operator, objectController, run } from 'kopf-ts';
import { configMaps } from './kinds.ts';

const config = new KubeConfig();
config.loadFromDefault();
const identity = `${process.env.POD_NAME ?? 'example'}-${randomUUID().slice(0, 8)}`;
const operator = new Operator({
  client: new KubeClient(config),
  leaderElection: {
    namespace: 'default',
    name: 'example-leader',
    identity,
    leaseMs: 5000,
    renewDeadlineMs: 3000,
    retryMs: 500,
  },
});
const store = operator.watch(configMaps, { namespace: 'default' });
store.subscribe(() => console.log(`sees ${store.size} objects`));

operator.add(
  objectController({
    name: 'acting',
    store,
    async reconcile({ metadata }) {
      console.log(`acts on ${metadata.name}`);
      return undefined;
    },
  }),
  { leaderOnly: true },
);

await run(operator);
console.log('stopped');
