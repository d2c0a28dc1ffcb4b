/** The compiler: facts to what each node must hold. Pure and incremental: no I/O, no clock. */
export { type Change, Compiler, compileFromScratch } from './compiler.ts';
export type * from './facts.ts';
export type { Output, PolicyState, ResourceChanges, RouteVerdict } from './output.ts';
export { policyKey } from './policy/policy-table.ts';

export {
  type DecidingRule,
  type Decision,
  type Endpoint,
  type Probe,
  type SimulatedVerdict,
  type Simulation,
  simulate,
} from './simulator/simulate.ts';
