/** Golden cases: NAME.in.yaml holds Kubernetes objects, NAME.out.yaml what becomes of them. */
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { parse, parseAllDocuments, stringify } from 'yaml';
import type { SourceKind } from '../../sources/index.ts';

export interface GoldenCase {
  /** Path without `.in.yaml`. */
  readonly name: string;
  readonly objects: readonly GoldenObject[];
  /** As checked in; undefined: there is none yet. */
  readonly expected: unknown;
}

export type GoldenObject = Readonly<Record<string, unknown>> & { readonly kind: SourceKind };

export function goldenCases(folder: string): GoldenCase[] {
  return globSync('**/*.in.yaml', { cwd: folder })
    .sort()
    .map((file) => {
      const documents = parseAllDocuments(readFileSync(`${folder}/${file}`, 'utf8'));
      const out = `${folder}/${outputOf(file)}`;
      return {
        name: file.replace('.in.yaml', ''),
        objects: documents.map((document): GoldenObject => document.toJS()),
        expected: existsSync(out) ? parse(readFileSync(out, 'utf8')) : undefined,
      };
    });
}

/** With WEFT_UPDATE_GOLDEN=1 the result becomes what is expected from now on: read the difference before you commit it. */
export function golden(folder: string, name: string, result: unknown): unknown {
  const text = stringify(result, { lineWidth: 120, aliasDuplicateObjects: false });
  if (process.env.WEFT_UPDATE_GOLDEN === '1') writeFileSync(`${folder}/${outputOf(name)}`, text);
  return parse(text);
}

function outputOf(name: string): string {
  return `${name.replace('.in.yaml', '')}.out.yaml`;
}
