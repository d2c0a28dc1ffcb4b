// Who may import whom: the table of docs/architecture.md, each rule with a sentence for a name.

const rooms = {
  crds: [],
  sources: ['crds', 'reconcilers', 'packages/node-api'],
  reconcilers: ['crds', 'packages/xds-protos', 'packages/node-api'],
  controllers: ['crds', 'sources', 'reconcilers', 'charts', 'packages'],
  agent: ['packages', 'datapath-native'],
  charts: ['crds', 'reconcilers'],
  cli: ['crds', 'sources', 'reconcilers', 'charts', 'packages'],
  demo: ['crds'],
  'packages/kopf-ts': [],
  'packages/xds': ['packages/xds-protos'],
  'packages/xds-protos': [],
  'packages/node-api': ['packages/xds-protos/scripts'],
  'datapath-native': [],
};

const all = Object.keys(rooms).concat('test', 'bench');
const tests = '(\\.test\\.ts$|/testing/|/tests?/|/examples/|/scripts/)';

const forbidden = Object.entries(rooms).map(([room, may]) => ({
  name: `${room} imports nothing of ours but ${may.length === 0 ? 'itself' : may.join(', ')}`,
  severity: 'error',
  from: { path: `^${room}/`, pathNot: tests },
  to: {
    path: `^(${all.join('|')}|packages)/`,
    pathNot: [room, ...may].map((m) => `^${m}/`),
  },
}));

module.exports = {
  forbidden: [
    ...forbidden,
    {
      name: 'no file needs itself through others',
      severity: 'warn',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'what ships does not import tests or benchmarks',
      severity: 'error',
      from: { path: `^(${Object.keys(rooms).join('|')})/`, pathNot: tests },
      to: { path: '^(test|bench)/|\\.test\\.ts$' },
    },
    {
      name: 'the agent stays light: neither the Kubernetes client nor the SDKs',
      severity: 'error',
      from: { path: '^agent/' },
      to: { path: '@kubernetes/client-node|kopf-ts|@opentelemetry|cdk8s|zod|commander' },
    },
    {
      name: 'reconcilers are pure: no input, output, clock or process',
      severity: 'error',
      from: { path: '^reconcilers/', pathNot: tests },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?crypto$' },
    },
    { name: 'every import resolves', severity: 'error', from: {}, to: { couldNotResolve: true, pathNot: '\\.node$' } },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(/gen/|/dist/|/target/|\\.local/|packages/.*\\.test\\.ts|packages/xds/src/testing/)' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
    },
  },
};
