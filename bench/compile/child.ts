/** One measurement in a process of its own; prints it as JSON. Arguments: `plain`, `weft`, or a kind of change. */
import { Compiler } from '../../reconcilers/index.ts';
import { Generator, large, toChange } from '../../reconcilers/testing/generator.ts';
import { changeKinds, changes } from './changes.ts';
import { PlainIndex } from './plain.ts';

/** Seconds to translate and load the cluster, and the largest resident memory of the process so far in MiB. */
export interface Load {
  readonly seconds: number;
  readonly memory: number;
}

export interface Rounds {
  /** Milliseconds to compile the whole cluster at once. */
  readonly fromScratch: number;
  /** Milliseconds of each change, by round. */
  readonly rounds: readonly (readonly number[])[];
}

const what = process.argv[2];
const roundCount = Number(process.argv[3]);
const size = Number(process.argv[4]);
const generator = new Generator(large);
const kind = changeKinds.find((name) => name === what);

function load(): Load {
  const start = performance.now();
  const facts = [...generator.objects()].map(toChange);
  if (what === 'plain') new PlainIndex().load(facts);
  else new Compiler().update(facts);
  return { seconds: (performance.now() - start) / 1000, memory: process.resourceUsage().maxRSS / 1024 };
}

function change(): Rounds {
  const compiler = new Compiler();
  const start = performance.now();
  compiler.update([...generator.objects()].map(toChange));
  const fromScratch = performance.now() - start;
  const sequence = changes(kind ?? 'pod', generator)[Symbol.iterator]();
  const next = (): number => {
    const make = sequence.next().value;
    const before = performance.now();
    compiler.update([make()]);
    return performance.now() - before;
  };
  for (let warm = 0; warm < size; warm++) next();
  const rounds = Array.from({ length: roundCount }, () => Array.from({ length: size }, next));
  return { fromScratch, rounds };
}

process.stdout.write(`${JSON.stringify(kind === undefined ? load() : change())}\n`);
