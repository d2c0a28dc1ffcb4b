import { expect, test } from '@jest/globals';
import { NodeResource } from '@weft/node-api';
import fc from 'fast-check';
import { type Change, Compiler, compileFromScratch } from './compiler.ts';
import { type DecidingRule, decideFor, type Probe } from './simulator/simulate.ts';
import { ADDRESSES, change, finalState, REQUESTS, routingChange } from './testing/arbitraries.ts';
import { classOf, evaluate, Held, routeOf, rulesBehind } from './testing/held.ts';

const runs = Number(process.env.WEFT_PROPERTY_RUNS ?? 300);

function play(batches: readonly (readonly Change[])[]): Held {
  const compiler = new Compiler();
  const held = new Held().apply(compiler.update([]));
  for (const batch of batches) held.apply(compiler.update(batch));
  return held;
}

/** Cuts the events into batches of these sizes, the last one taking what is left. */
function cut(events: readonly Change[], sizes: readonly number[]): Change[][] {
  const batches: Change[][] = [];
  let rest = [...events];
  for (const size of sizes) {
    batches.push(rest.slice(0, size));
    rest = rest.slice(size);
  }
  return [...batches, rest];
}

/** Mostly long: what one object changes for another shows only where there are many. */
const history = fc.oneof(
  { arbitrary: fc.array(change, { maxLength: 40, size: 'max' }), weight: 4 },
  { arbitrary: fc.array(routingChange, { maxLength: 25, size: 'max' }), weight: 1 },
);

test('any history of events, however it is batched, ends as compiling its last state from scratch', () => {
  fc.assert(
    fc.property(history, fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 15 }), (events, sizes) => {
      const scratch = new Held().apply(compileFromScratch(finalState(events)));
      expect(play(cut(events, sizes)).dump()).toEqual(scratch.dump());
    }),
    { numRuns: runs },
  );
});

test('events in reverse order, repeated, or one by one end in the same state', () => {
  fc.assert(
    fc.property(history, (events) => {
      const last = finalState(events);
      const scratch = new Held().apply(compileFromScratch(last)).dump();
      const singly = last.map((event) => [event]);
      expect(play(singly).dump()).toEqual(scratch);
      expect(play([...singly].reverse()).dump()).toEqual(scratch);
      expect(play(singly.flatMap((batch) => [batch, batch])).dump()).toEqual(scratch);
      expect(play([[...last].reverse()]).dump()).toEqual(scratch);
    }),
    { numRuns: runs },
  );
});

test('deleting everything leaves what an empty cluster has', () => {
  fc.assert(
    fc.property(history, (events) => {
      const gone = events.map(({ key }) => ({ key, facts: [] }));
      expect(play([events, gone]).dump()).toEqual(play([[]]).dump());
    }),
    { numRuns: runs },
  );
});

test('deleting everything leaves no rows behind', () => {
  const empty = new Compiler();
  empty.update([]);
  fc.assert(
    fc.property(history, (events) => {
      const compiler = new Compiler();
      for (const event of events) compiler.update([event]);
      compiler.update(events.map(({ key }) => ({ key, facts: [] })));
      expect(compiler.sizes()).toEqual(empty.sizes());
    }),
    { numRuns: runs },
  );
});

test('what changes nothing is not told again', () => {
  fc.assert(
    fc.property(history, (events) => {
      const compiler = new Compiler();
      compiler.update(events);
      const again = compiler.update(finalState(events));
      const { shared, views, policies, routes } = again;
      expect([shared.upserts.size, shared.deletes.size, views.size, policies.size, routes.size]).toEqual([
        0, 0, 0, 0, 0,
      ]);
    }),
    { numRuns: runs },
  );
});

const PROBES: readonly (Pick<Probe, 'protocol' | 'port'> & { readonly number: number })[] = [
  { protocol: 'TCP', number: 6, port: 80 },
  { protocol: 'TCP', number: 6, port: 81 },
  { protocol: 'TCP', number: 6, port: 65_535 },
  { protocol: 'UDP', number: 17, port: 53 },
  { protocol: 'SCTP', number: 132, port: 443 },
  { protocol: 'ICMP', number: 1, port: 0 },
];

test('evaluating the content of the maps is what a naive reading of the policies says', () => {
  let compared = 0;
  const requests = { allowed: 0, denied: 0 };
  fc.assert(
    fc.property(history, (events) => {
      const last = finalState(events);
      const facts = last.flatMap((event) => event.facts);
      const held = new Held().apply(compileFromScratch(last));
      for (const fact of facts) {
        if (fact.kind !== 'pod' || fact.hostNetwork || fact.node === '') continue;
        const node = held.node(fact.node);
        const endpoint = [...node.values()].find(
          ({ resource: r }) =>
            r?.$case === 'endpoint' && r.value.namespace === fact.namespace && r.value.name === fact.name,
        );
        if (endpoint?.resource?.$case !== 'endpoint') throw new Error(`${fact.name} has no endpoint`);
        const { policySet } = endpoint.resource.value;
        for (const address of ADDRESSES) {
          const peer = classOf(node, address);
          if (peer === undefined) throw new Error(`${address} has no class on ${fact.node}`);
          for (const { protocol, number, port } of PROBES) {
            for (const direction of ['ingress', 'egress'] as const) {
              const naive = decideFor(
                facts,
                `${fact.namespace}/${fact.name}`,
                direction,
                { address },
                { protocol, port },
              );
              const rule = naive?.rule && { policy: naive.rule.policy, index: naive.rule.index, deny: naive.rule.deny };
              const { listener, ...found } = evaluate(node, policySet, direction, peer, number, port);
              expect({ pod: fact.name, address, direction, protocol, port, ...found }).toEqual({
                pod: fact.name,
                address,
                direction,
                protocol,
                port,
                verdict: naive?.verdict,
                rule,
              });
              compared++;
              expect(listener !== undefined).toBe(naive?.verdict === 'proxy');
              if (listener === undefined) continue;
              expect(rulesBehind(node, policySet, listener).sort()).toEqual(naive?.asked.map(nameOf).sort());
              for (const http of REQUESTS) {
                const said = decideFor(
                  facts,
                  `${fact.namespace}/${fact.name}`,
                  direction,
                  { address },
                  { protocol, port, http },
                );
                const routed = routeOf(node, listener, http);
                expect(routed).toBe(
                  said?.verdict === 'allow' && said.rule !== undefined ? nameOf(said.rule) : 'denied',
                );
                requests[said?.verdict === 'allow' ? 'allowed' : 'denied']++;
              }
            }
          }
        }
      }
    }),
    { numRuns: Math.ceil(runs / 3) },
  );
  expect(compared).toBeGreaterThan(1000);
  expect(Math.min(requests.allowed, requests.denied)).toBeGreaterThan(20);
});

function nameOf({ policy, direction, index }: DecidingRule): string {
  return `${policy}#${direction}[${index}]`;
}

test('every resource can be encoded and read back', () => {
  fc.assert(
    fc.property(history, (events) => {
      const held = new Held().apply(compileFromScratch(finalState(events)));
      for (const resource of [
        ...held.shared.values(),
        ...[...held.views.values()].flatMap((view) => [...view.values()]),
      ]) {
        const bytes = NodeResource.encode(resource).finish();
        expect(NodeResource.toJSON(NodeResource.decode(bytes))).toEqual(NodeResource.toJSON(resource));
      }
    }),
    { numRuns: Math.ceil(runs / 6) },
  );
});
