/** From kubectl to packets, on a local Kubernetes: one cluster, the stories in turn. */
import { afterAll, describe } from '@jest/globals';
import { actsStory } from './acts.story.ts';
import { badInputStory } from './bad-input.story.ts';
import { churnStory } from './churn.story.ts';
import { cliStory } from './cli.story.ts';
import { killStory } from './kill.story.ts';
import { layer7Story } from './layer7.story.ts';
import { routesStory } from './routes.story.ts';
import { servicesStory } from './services.story.ts';
import { workloadsStory } from './workloads.story.ts';
import { stopTheCluster, whyNot } from './world.ts';

(whyNot === undefined ? describe : describe.skip)(whyNot === undefined ? 'Weft' : `Weft: ${whyNot}`, () => {
  afterAll(stopTheCluster, 120_000);
  actsStory();
  servicesStory();
  workloadsStory();
  cliStory();
  badInputStory();
  layer7Story();
  routesStory();
  killStory();
  churnStory();
});
