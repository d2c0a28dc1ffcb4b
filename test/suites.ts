/** The suites of `npm test`, from cheap to dear. */

interface Context {
  /** Where jest writes its report. */
  readonly json: string;
  readonly workers: number;
}

export interface Suite {
  readonly name: string;
  readonly what: string;
  /** How its results are counted: a command is one test. */
  readonly kind: 'command' | 'cargo' | 'jest';
  readonly command: (context: Context) => readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Only runs when it is named: takes long. */
  readonly onlyNamed?: boolean;
}

const node = 'node_modules/.bin/node';
const esm = { NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning' };

function jest(
  name: string,
  what: string,
  paths: readonly string[],
  ignore: readonly string[] = [],
  serial = false,
): Suite {
  return {
    name,
    what,
    kind: 'jest',
    env: esm,
    command: ({ json, workers }) => [
      node,
      'node_modules/jest/bin/jest.js',
      '--json',
      `--outputFile=${json}`,
      ...(serial ? ['--runInBand'] : [`--maxWorkers=${workers}`]),
      ...(ignore.length > 0 ? ['--testPathIgnorePatterns', ...ignore] : []),
      '--testPathPatterns',
      ...paths,
    ],
  };
}

export const suites: readonly Suite[] = [
  {
    name: 'setup',
    what: 'Debian packages, generated types, native addon, bundles',
    kind: 'command',
    command: () => [node, 'test/local/build.ts'],
  },
  {
    name: 'check',
    what: 'format, lint, types, dependency rules',
    kind: 'command',
    command: () => ['npm', 'run', 'check'],
  },
  jest(
    'unit',
    'tests beside the code',
    ['\\.test\\.ts$'],
    ['/node_modules/', '/test/cluster/', '/test/e2e/', '/test/bare/'],
  ),
  {
    name: 'datapath',
    what: 'eBPF programs and native code in Rust',
    kind: 'cargo',
    command: () => ['npm', 'run', 'test:native', '--silent', '-w', 'datapath-native'],
  },
  jest('cluster', 'the local Kubernetes', ['/test/cluster/'], [], true),
  jest('e2e', 'Weft on the local Kubernetes', ['/test/e2e/'], [], true),
  jest('bare', 'npm run up on a bare Debian', ['/test/bare/'], [], true),
  {
    name: 'kernels',
    what: 'the datapath suite on other kernels, in QEMU; only when it is named',
    kind: 'cargo',
    command: () => [node, 'test/kernels/main.ts'],
    onlyNamed: true,
  },
];
