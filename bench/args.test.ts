import { describe, expect, test } from '@jest/globals';
import { parseBenchArgs, usage } from './args.ts';

const suites = {
  datapath: { what: 'packets', cases: ['rr-same', 'rr-cross'] },
  start: { what: 'the start', cases: ['agent'] },
};

describe('the command line', () => {
  test('a suite alone means all of its cases, in their order', () => {
    expect(parseBenchArgs(['datapath'], suites)).toEqual({
      tag: 'run',
      suite: 'datapath',
      cases: ['rr-same', 'rr-cross'],
    });
  });

  test('a case and a file may be named', () => {
    expect(parseBenchArgs(['datapath', 'rr-cross', '--json', 'out.json'], suites)).toEqual({
      tag: 'run',
      suite: 'datapath',
      cases: ['rr-cross'],
      json: 'out.json',
    });
  });

  test.each([
    [[], 'name a suite: datapath, start'],
    [['nothing'], 'there is no suite nothing; the suites are datapath, start'],
    [['constructor'], 'there is no suite constructor; the suites are datapath, start'],
    [['start', 'rr-same'], 'suite start has no case rr-same; its cases are agent'],
    [['start', 'agent', 'more'], 'one case at a time: more is too much'],
    [['start', '--json', ''], '--json needs the name of a file'],
    [['start', '--runs', '5'], "Unknown option '--runs'"],
  ])('%j is refused with a sentence', (args, message) => {
    expect(parseBenchArgs(args, suites)).toEqual({ tag: 'wrong', message: expect.stringContaining(message) });
  });

  test('help names every suite with its cases', () => {
    expect(parseBenchArgs(['datapath', '--help'], suites)).toEqual({ tag: 'help' });
    expect(usage(suites)).toContain('  datapath   packets\n             rr-same, rr-cross\n');
  });
});
