/** `weft diff`: the objects as the API server would have them, then what follows on nodes. */
import { type Kind, type KubeClient, KubeError, type KubeObject } from 'kopf-ts';
import type { Fact } from '../../reconcilers/index.ts';
import { type SourceKind, translate } from '../../sources/index.ts';
import { inNamespace, lastOfEach, locate, problemText, sourceKindOf, titleOf } from '../files/objects.ts';
import type { FileObject, FileProblem, ReadFiles, ReadObject } from '../files/read.ts';
import { sourceKinds } from '../kinds.ts';
import { toYaml } from '../output.ts';
import { type Paint, plain } from '../text.ts';
import { type Applied, discover, dryRun, shown } from './apply.ts';
import { consequences } from './consequences.ts';
import { unifiedDiff } from './lines.ts';

export interface Out {
  readonly print: (text: string) => void;
  readonly note: (text: string) => void;
  /** Of files; without the program's name before it. */
  readonly complain: (text: string) => void;
  readonly paint: Paint;
}

/** @returns 0 nothing would change, 1 something would, 2 something is wrong with the files */
export async function runDiff(client: KubeClient, files: ReadFiles, namespace: string, out: Out): Promise<number> {
  const kindOf = finder(client);
  const { objects, problems: repeated } = lastOfEach(await place(kindOf, files.objects, namespace));
  const problems = [...files.problems, ...repeated];
  const changed: { readonly file: FileObject; readonly applied: Applied }[] = [];
  for (const file of objects) {
    const applied = await ask(client, kindOf, file, objects);
    if ('severity' in applied) problems.push(applied);
    else {
      const text = objectDiff(file, applied);
      if (text === undefined) continue;
      changed.push({ file, applied });
      if (applied.note !== undefined) out.note(`${titleOf(file.object)} is shown ${applied.note}`);
      out.print(painted(text, out.paint));
    }
  }
  for (const problem of problems) out.complain(problemText(problem));
  const read = changed.flatMap(({ file: { object }, applied: { after } }) => {
    const kind = sourceKindOf(object);
    return kind === undefined ? [] : [{ kind, object, after }];
  });
  if (read.length > 0) await tellConsequences(client, read, out);
  if (problems.some(({ severity }) => severity === 'error')) return 2;
  return changed.length > 0 ? 1 : 0;
}

type KindFinder = (object: ReadObject) => Promise<Kind | undefined>;

/** Asks once for each kind. */
function finder(client: KubeClient): KindFinder {
  const known = new Map<string, Promise<Kind | undefined>>();
  return (object) => {
    const key = `${object.apiVersion} ${object.kind}`;
    const found = known.get(key) ?? discover(client, object);
    known.set(key, found);
    return found;
  };
}

async function place(kindOf: KindFinder, objects: readonly FileObject[], namespace: string): Promise<FileObject[]> {
  const placed: FileObject[] = [];
  for (const file of objects) {
    const kind = await kindOf(file.object);
    const known = kind ?? definedIn(objects, file.object);
    placed.push(inNamespace(file, namespace, known?.namespaced ?? false));
  }
  return placed;
}

/** Where the files bring the kind along. */
function definedIn(
  objects: readonly FileObject[],
  { apiVersion, kind }: ReadObject,
): { namespaced: boolean } | undefined {
  for (const { object } of objects) {
    const { group, names, scope } = (object.spec ?? {}) as {
      group?: unknown;
      names?: { kind?: unknown };
      scope?: unknown;
    };
    if (object.kind !== 'CustomResourceDefinition' || names?.kind !== kind) continue;
    if (group === apiVersion.split('/')[0]) return { namespaced: scope === 'Namespaced' };
  }
  return undefined;
}

async function ask(
  client: KubeClient,
  kindOf: KindFinder,
  { object, at }: FileObject,
  all: readonly FileObject[],
): Promise<Applied | FileProblem> {
  const error = (message: string) => locate({ severity: 'error', field: '', message }, object, at);
  const kind = await kindOf(object);
  if (kind === undefined) {
    if (definedIn(all, object) === undefined) {
      return error(`The cluster knows no ${object.kind} of ${object.apiVersion}: install what defines it first.`);
    }
    return { before: undefined, after: object, note: 'without what the API server fills in (its kind is new, too)' };
  }
  try {
    return await dryRun(client, kind, object);
  } catch (thrown) {
    // What it says of the object; else there is no answer to compare with.
    if (!(thrown instanceof KubeError) || thrown.status < 400 || thrown.status >= 500 || thrown.status === 401)
      throw thrown;
    return error(thrown.message);
  }
}

function objectDiff({ object, at }: FileObject, applied: Applied): string | undefined {
  const { before, after } = shown(applied);
  const title = titleOf(object);
  return unifiedDiff(
    { name: `cluster  ${title}`, text: before && toYaml(before) },
    { name: `${at('')}  ${title}`, text: toYaml(after) },
  );
}

function painted(text: string, paint: Paint): string {
  return text
    .split('\n')
    .map((line) => {
      const [mark] = line;
      const style = mark === '+' ? 'good' : mark === '-' ? 'bad' : 'faint';
      return mark === '+' || mark === '-' || line.startsWith('@@') ? paint(style, plain(line)) : plain(line);
    })
    .join('\n');
}

interface ReadChange {
  readonly kind: SourceKind;
  readonly object: ReadObject;
  readonly after: object;
}

async function tellConsequences(client: KubeClient, changes: readonly ReadChange[], out: Out): Promise<void> {
  const { objects, hidden } = await clusterObjects(client);
  if (hidden.length > 0) {
    out.note(`what follows on nodes is not known: the right to list ${hidden.join(', ')} in all namespaces is missing`);
    return;
  }
  const key = (
    kind: SourceKind,
    { namespace = '', name }: { readonly namespace?: string | undefined; readonly name: string },
  ) => `${kind} ${namespace}/${name}`;
  const before = new Map<string, readonly Fact[]>();
  for (const { kind, object } of objects) before.set(key(kind, object.metadata), translate(kind, object).facts);
  const after = new Map(before);
  for (const { kind, object, after: next } of changes)
    after.set(key(kind, object.metadata), translate(kind, next).facts);
  const told = consequences([...before.values()].flat(), [...after.values()].flat());
  out.print(['', told.length === 0 ? 'Nothing follows on nodes.' : 'What follows on nodes:'].join('\n'));
  for (const one of told) out.print(`\n${painted(one, out.paint)}`);
}

async function clusterObjects(client: KubeClient) {
  const hidden: SourceKind[] = [];
  const kinds = Object.keys(sourceKinds) as SourceKind[];
  const lists = await Promise.all(
    kinds.map(async (kind) => {
      const objects = await client.list(sourceKinds[kind]).catch((error: unknown): KubeObject[] => {
        if (!(error instanceof KubeError)) throw error;
        // Not installed.
        if (error.isNotFound) return [];
        if (error.status !== 403) throw error;
        hidden.push(kind);
        return [];
      });
      return objects.map((object) => ({ kind, object }));
    }),
  );
  return { objects: lists.flat(), hidden: hidden.sort() };
}
