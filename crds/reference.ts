import { stringify } from 'yaml';
import { crdOf, type KindDefinition } from './schema/crd.ts';
import type { CelRule, JsonSchema } from './schema/structural.ts';

/** The reference of all kinds as one Markdown page, from the same schema as the CustomResourceDefinitions. */
export function reference(kinds: readonly KindDefinition[]): string {
  return ['# Reference of the kinds', '', ...kinds.flatMap(kindPage)].join('\n');
}

function kindPage(definition: KindDefinition): string[] {
  const schema = crdOf(definition).spec.versions[0]?.schema.openAPIV3Schema ?? {};
  const { spec, status } = schema.properties ?? {};
  return [
    `## ${definition.kind}`,
    '',
    definition.description,
    '',
    `\`${definition.group}/${definition.version}\`, ${definition.scope.toLowerCase()}; ` +
      `\`kubectl get ${[definition.plural, ...definition.shortNames].join('` or `kubectl get ')}\`, ` +
      'or all kinds of Weft: `kubectl get weft`.',
    '',
    '| field | type | default | meaning |',
    '|---|---|---|---|',
    ...(spec === undefined ? [] : rows(spec, 'spec')),
    ...(status === undefined ? [] : rows(status, 'status')),
    '',
    ...ruleList([...rulesIn(schema)]),
    ...definition.examples.flatMap(({ title, object }) => [
      `${title}:`,
      '```yaml',
      stringify(object).trimEnd(),
      '```',
      '',
    ]),
  ];
}

function rows(schema: JsonSchema, path: string): string[] {
  const children = Object.entries(schema.properties ?? {}).flatMap(([name, child]) => rows(child, `${path}.${name}`));
  const items = schema.items === undefined ? [] : Object.entries(schema.items.properties ?? {});
  const defaults = schema.default === undefined ? '' : `\`${JSON.stringify(schema.default)}\``;
  return [
    `| \`${path}\` | ${typeOf(schema)} | ${defaults} | ${escapeCell(schema.description ?? '')} |`,
    ...children,
    ...items.flatMap(([name, child]) => rows(child, `${path}[].${name}`)),
  ];
}

function typeOf(schema: JsonSchema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  const { minimum, maximum, type = 'any' } = schema;
  if (minimum !== undefined && maximum !== undefined) return `${type}, ${minimum} to ${maximum}`;
  return type;
}

function* rulesIn(schema: JsonSchema): Generator<CelRule> {
  yield* schema['x-kubernetes-validations'] ?? [];
  for (const child of Object.values(schema.properties ?? {})) yield* rulesIn(child);
  if (schema.items !== undefined) yield* rulesIn(schema.items);
}

function ruleList(rules: readonly CelRule[]): string[] {
  if (rules.length === 0) return [];
  return ['The API server refuses an object otherwise:', '', ...rules.map(({ message }) => `- ${message}.`), ''];
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
