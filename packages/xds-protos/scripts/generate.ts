/**
 * Generates TypeScript from proto files, offline: `node scripts/generate.ts [--all]`.
 *
 * Without arguments Envoy's types (into gen/); with `--all` also those of packages/node-api.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { deflateRawSync } from 'node:zlib';
import { type ProtoTree, readProtoTree } from './proto-tree.ts';

export interface GenerateOptions {
  /** Folder or folders that imports are relative to. */
  readonly protoDir: string | readonly string[];
  /** Import paths of the proto files to generate, or of folders ("weft/", "./" for all). */
  readonly include: readonly string[];
  /** Where the TypeScript goes; whatever else is in it is deleted. */
  readonly outDir: string;
  /** Also writes `descriptors.ts`, for who prints messages of any of the types. */
  readonly descriptors?: boolean;
}

/** What Envoy's types are generated from; everything that these import comes along. */
const ENVOY_PROTOS = [
  'envoy/service/discovery/v3/ads.proto',
  'envoy/service/discovery/v3/discovery.proto',
  'envoy/config/listener/v3/listener.proto',
  'envoy/config/route/v3/route.proto',
  'envoy/config/cluster/v3/cluster.proto',
  'envoy/config/endpoint/v3/endpoint.proto',
  'envoy/extensions/filters/listener/original_dst/v3/original_dst.proto',
  'envoy/extensions/filters/listener/original_src/v3/original_src.proto',
  'envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
  'envoy/extensions/filters/http/fault/v3/fault.proto',
  'envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto',
  'envoy/extensions/filters/http/original_src/v3/original_src.proto',
  'envoy/extensions/filters/http/router/v3/router.proto',
  'envoy/extensions/access_loggers/stream/v3/stream.proto',
  'envoy/extensions/upstreams/http/v3/http_protocol_options.proto',
  'envoy/extensions/http/original_ip_detection/custom_header/v3/custom_header.proto',
  'envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case.proto',
];

/** Read by validators and documentation tools only: no generated code refers to these. */
const ANNOTATIONS = /^(validate|udpa\/annotations|xds\/annotations|envoy\/annotations)\//;

const TS_PROTO_OPTIONS = [
  'annotateFilesWithVersion=false',
  'comments=true',
  'emitImportedFiles=true',
  // Node strips types and does not compile: no TypeScript enums, and imports name their file.
  'enumsAsLiterals=true',
  'env=node',
  'esModuleInterop=true',
  'forceLong=bigint',
  'importSuffix=.ts',
  'oneof=unions-value',
  'outputJsonMethods=to-only',
  'outputServices=grpc-js',
  'unrecognizedEnum=false',
  'useDate=false',
  'useExactTypes=false',
  'useOptionals=messages',
  'useUnknownForValue=true',
];

const STAMP = '.generated-from';
const require = createRequire(import.meta.url);

/**
 * Generates what `include` names into `outDir`; does nothing when `outDir` is up to date.
 *
 * @returns whether anything had to be generated
 * @throws Error with buf's own words when a proto file is wrong
 */
export function generateProtos({ protoDir, include, outDir, descriptors = false }: GenerateOptions): boolean {
  const tree = readProtoTree(typeof protoDir === 'string' ? [protoDir] : protoDir, include);
  const stamp = fingerprint(tree, descriptors);
  const stampFile = join(outDir, STAMP);
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return false;

  rmSync(stampFile, { force: true });
  const scratch = mkdtempSync(join(tmpdir(), 'weft-protos-'));
  try {
    const protos = writeTree(join(scratch, 'protos'), tree);
    runBuf(generateArguments(outDir), protos, join(scratch, 'cache'));
    prune(outDir, tree);
    if (descriptors) {
      const file = join(scratch, 'descriptors.binpb');
      runBuf(
        ['build', '--as-file-descriptor-set', '--exclude-source-info', '--output', file],
        protos,
        join(scratch, 'cache'),
      );
      writeFileSync(join(outDir, 'descriptors.ts'), descriptorsModule(readFileSync(file)));
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  writeFileSync(stampFile, stamp);
  return true;
}

function descriptorsModule(set: Buffer): string {
  const base64 = deflateRawSync(set, { level: 9 }).toString('base64');
  return `/** google.protobuf.FileDescriptorSet of all that is in this folder: deflated (raw), base64. */\nexport const descriptors =\n  '${base64}';\n`;
}

function fingerprint(tree: ProtoTree, descriptors: boolean): string {
  const hash = createHash('sha256');
  const tools = ['@bufbuild/buf', 'ts-proto'].map((name) => packageOf(name).version);
  hash.update(JSON.stringify([tools, TS_PROTO_OPTIONS, descriptors, ...tree]));
  return hash.digest('hex');
}

/** The folder and version of an installed package. */
function packageOf(name: string): { folder: string; version: string } {
  const file = require.resolve(`${name}/package.json`);
  const { version }: { version: string } = JSON.parse(readFileSync(file, 'utf8'));
  return { folder: dirname(file), version };
}

function writeTree(folder: string, tree: ProtoTree): string {
  for (const [path, text] of tree) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

function generateArguments(outDir: string): string[] {
  const plugin = join(packageOf('ts-proto').folder, 'protoc-gen-ts_proto');
  const template = {
    version: 'v2',
    plugins: [
      {
        local: [process.execPath, plugin],
        out: outDir,
        opt: TS_PROTO_OPTIONS,
        include_imports: true,
        include_wkt: true,
        strategy: 'all',
      },
    ],
  };
  return ['generate', '--template', JSON.stringify(template)];
}

function runBuf([command = '', ...options]: readonly string[], protos: string, cache: string): void {
  const buf = join(packageOf('@bufbuild/buf').folder, 'bin', 'buf');
  const run = spawnSync(process.execPath, [buf, command, ...options, protos], {
    encoding: 'utf8',
    cwd: protos,
    env: { ...process.env, BUF_CACHE_DIR: cache },
  });
  if (run.status !== 0) {
    const why = run.error?.message ?? `${run.stdout}${run.stderr}`.trim();
    throw new Error(`buf ${command} failed: ${why}`);
  }
}

/** Removes what an earlier run generated from protos that are gone, and dead annotations. */
function prune(outDir: string, tree: ProtoTree): void {
  for (const entry of readdirSync(outDir, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const file = join(entry.parentPath, entry.name);
    const path = relative(outDir, file);
    const current = path.startsWith('google/protobuf/') || tree.has(path.replace(/\.ts$/, '.proto'));
    if (!current || ANNOTATIONS.test(path)) rmSync(file);
  }
}

/** Envoy's proto files, as `@grpc/grpc-js-xds` ships them. */
function envoyRoots(): string[] {
  const deps = join(packageOf('@grpc/grpc-js-xds').folder, 'deps');
  return ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(deps, name));
}

function main(args: readonly string[]): void {
  const packages = join(import.meta.dirname, '..', '..');
  const targets: GenerateOptions[] = [
    { protoDir: envoyRoots(), include: ENVOY_PROTOS, outDir: join(packages, 'xds-protos', 'gen'), descriptors: true },
  ];
  if (args.includes('--all')) {
    const nodeApi = join(packages, 'node-api');
    targets.push({ protoDir: join(nodeApi, 'proto'), include: ['./'], outDir: join(nodeApi, 'gen') });
  }
  for (const target of targets) {
    const started = performance.now();
    const changed = generateProtos(target);
    const took = `${((performance.now() - started) / 1000).toFixed(1)} s`;
    console.log(`${relative(process.cwd(), target.outDir)}: ${changed ? `generated in ${took}` : 'up to date'}`);
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(process.argv.slice(2));
}
