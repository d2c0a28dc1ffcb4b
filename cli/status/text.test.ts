import { describe, expect, test } from '@jest/globals';
import { snapshotAnswer } from '../testing/samples.ts';
import { noPaint } from '../text.ts';
import { parseSnapshot, type Snapshot } from './snapshot.ts';
import { isWell, statusText, wrong } from './text.ts';

const well = parseSnapshot(snapshotAnswer);
const lines = (snapshot: Snapshot): string[] => wrong(snapshot).map(({ word, line }) => `${word}: ${line}`);

const [node1, node2] = well.nodes;
const [clusterOnly, fromFrontend] = well.policies;
const [api] = well.meshServices;
if (!node1 || !node2 || !clusterOnly || !fromFrontend || !api) throw new Error('the sample lacks something');

const problem = (severity: string) => ({ severity, field: 'spec.ingress[0]', message: 'HTTP rules are not enforced.' });
const behind = { enforced: 1, of: 2, missing: [{ node: 'node2', why: 'Pending', message: '' }] };

test('status shows operator, nodes, policies and MeshServices, and which policy makes which ineffective', () => {
  expect(statusText(well, { wide: false, paint: noPaint })).toBe(`operator 0.1.0

NODE   AGENT      VERSION  POLICY SETS ENFORCED
node1  connected  0.1.0    2 of 2
node2  connected  0.1.0    2 of 2

POLICY                                       GENERATION  PODS  NODES ENFORCED
CiliumClusterwideNetworkPolicy cluster-only  1           5     2 of 2
CiliumNetworkPolicy shop/api-from-frontend   1           2     2 of 2

MESHSERVICE  GENERATION  NODES ENFORCED
shop/api     2           2 of 2

warning: CiliumNetworkPolicy shop/api-from-frontend: cluster-only already allows everything that api-from-frontend allows to the same pods; api-from-frontend restricts nothing`);
  expect(isWell(well)).toBe(true);
});

describe.each<[string, Partial<Snapshot>, string]>([
  [
    'a node without contact',
    { nodes: [node1, { ...node2, connected: false }] },
    'error: node node2 is not connected: kubectl -n weft-system get pods -o wide',
  ],
  [
    'a node that is not in step',
    { nodes: [{ ...node1, synced: false }] },
    'error: node node1 has not got all that it should hold yet',
  ],
  [
    "a node's problem",
    {
      nodes: [
        { ...node1, conditions: [{ type: 'MapBudgetProblem', status: true, reason: 'MapBudget', message: 'full' }] },
      ],
    },
    'error: node node1, MapBudgetProblem: full',
  ],
  [
    'a resource that a node could not take',
    { nodes: [{ ...node1, errors: [{ resource: 'service/shop/api', message: 'no room' }] }] },
    'error: node node1, service/shop/api: no room',
  ],
  [
    'a policy that a node does not enforce yet',
    { policies: [{ ...clusterOnly, nodes: behind }] },
    'error: CiliumClusterwideNetworkPolicy cluster-only is not in force on node2: its agent has not reported it yet',
  ],
  [
    'a MeshService that a node does not hold yet',
    { meshServices: [{ ...api, nodes: behind }] },
    'error: MeshService shop/api is not in force on node2: its agent has not reported it yet',
  ],
  [
    'a policy with an error',
    { policies: [{ ...clusterOnly, problems: [problem('error')] }] },
    'error: CiliumClusterwideNetworkPolicy cluster-only, spec.ingress[0]: HTTP rules are not enforced.',
  ],
  [
    'an error of another object',
    { problems: [{ object: 'Service/shop/api', problems: [problem('error')] }] },
    'error: Service/shop/api, spec.ingress[0]: HTTP rules are not enforced.',
  ],
])('%s', (_name, change, line) => {
  const snapshot = { ...well, ...change };
  test('is told', () => expect(lines(snapshot)).toContain(line));
  test('is not well', () => expect(isWell(snapshot)).toBe(false));
});

test('an operator that is not ready is not well and says what it waits for', () => {
  const snapshot = {
    ...well,
    operator: { ...well.operator, ready: false, waitingFor: ['Pod'], absent: ['MeshService'] },
  };
  expect(isWell(snapshot)).toBe(false);
  const [first, second] = statusText(snapshot, { wide: false, paint: noPaint }).split('\n');
  expect(first).toBe('operator 0.1.0, not ready, waits for Pod');
  expect(second).toBe('not installed in this cluster: MeshService');
});

test('a warning leaves all well', () => {
  const snapshot = { ...well, problems: [{ object: 'Pod/shop/x', problems: [problem('warning')] }] };
  expect(lines(snapshot)).toContain('warning: Pod/shop/x, spec.ingress[0]: HTTP rules are not enforced.');
  expect(isWell(snapshot)).toBe(true);
});

test('wide names the nodes that are missing', () => {
  const text = statusText({ ...well, policies: [{ ...clusterOnly, nodes: behind }] }, { wide: true, paint: noPaint });
  expect(text).toContain('1 of 2          node2 (Pending)');
});

test('a hostile name reaches the terminal as escapes', () => {
  const text = statusText(
    { ...well, policies: [{ ...fromFrontend, name: 'x\u001b[2J' }] },
    { wide: true, paint: noPaint },
  );
  expect(text.replaceAll('\n', '')).not.toMatch(/\p{C}/u);
});

test('the answer of another version is refused with the field', () => {
  expect(() => parseSnapshot({ ...snapshotAnswer, nodes: [{}] })).toThrow(
    /nodes\.0\.name: .*use the `weft` of its version/,
  );
});
