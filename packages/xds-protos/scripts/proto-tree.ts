/** Finds proto files, and all that they import, in several roots laid over each other. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Proto files by import path ("envoy/config/core/v3/base.proto"), with their text. */
export type ProtoTree = ReadonlyMap<string, string>;

const IMPORT = /^\s*import\s+(?:public\s+|weak\s+)?"([^"]+)"/gm;

/** buf has Google's well-known types built in. */
const builtIn = (path: string): boolean => path.startsWith('google/protobuf/');

/**
 * Reads `include` and, transitively, its imports.
 *
 * @param roots folders that import paths are relative to; the first that has a path wins
 * @param include import paths of proto files, or of folders that end in "/"
 * @throws Error that names the missing path and who imports it
 */
export function readProtoTree(roots: readonly string[], include: readonly string[]): ProtoTree {
  const tree = new Map<string, string>();
  const open = include
    .flatMap((entry) => (entry.endsWith('/') ? listFolder(roots, entry) : [entry]))
    .map((path) => ({ path, importer: 'the list of protos to generate' }));
  for (let next = open.pop(); next; next = open.pop()) {
    const { path, importer } = next;
    if (tree.has(path) || builtIn(path)) continue;
    const root = roots.find((candidate) => existsSync(join(candidate, path)));
    if (root === undefined) {
      throw new Error(`${path}, which ${importer} names, is in none of ${roots.join(', ')}`);
    }
    const text = patch(path, readFileSync(join(root, path), 'utf8'));
    tree.set(path, text);
    for (const [, imported] of text.matchAll(IMPORT)) {
      if (imported !== undefined) open.push({ path: imported, importer: path });
    }
  }
  return new Map([...tree].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function listFolder(roots: readonly string[], folder: string): string[] {
  const found = roots.filter((root) => existsSync(join(root, folder)));
  if (found.length === 0) throw new Error(`no folder ${folder} in ${roots.join(', ')}`);
  return found.flatMap((root) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.proto'))
      .map((name) => folder.replace(/^\.\//, '') + name),
  );
}

/**
 * `validate.proto` in `@grpc/grpc-js-xds` is older than the Envoy files beside it: those use
 * `ignore_empty`, which it lacks. The field's number is that of protoc-gen-validate's string rules.
 */
function patch(path: string, text: string): string {
  if (path !== 'validate/validate.proto' || text.includes('ignore_empty')) return text;
  return text.replace(/^message \w+Rules \{$/gm, (line) => `${line}\n    optional bool ignore_empty = 26;`);
}
