/**
 * JSON Schema, as zod writes it, to the structural subset that a CustomResourceDefinition may hold.
 * Source of the rules: kubernetes.io "Extend the Kubernetes API with CustomResourceDefinitions", structural schemas.
 */

/** One rule of `x-kubernetes-validations`. */
export interface CelRule {
  readonly rule: string;
  /** What the user reads when the rule is broken: a sentence. */
  readonly message: string;
  readonly fieldPath?: string;
}

export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly 'x-kubernetes-validations'?: readonly CelRule[];
  readonly [other: string]: unknown;
}

const MAX_SAFE = Number.MAX_SAFE_INTEGER;

/** Thrown for a schema that has no structural form; says where. */
export class NotStructural extends Error {
  override readonly name = 'NotStructural';
}

/** `path` is where in the object the schema stands, for error messages. */
export function toStructural(schema: JsonSchema, path = ''): JsonSchema {
  const flat = flattenUnion(schema, path);
  const { anyOf, oneOf, properties, items, additionalProperties, minimum, maximum, $schema: _, ...rest } = flat;
  if (anyOf ?? oneOf) throw new NotStructural(`${path || '.'}: a union of anything but objects has no structural form`);
  if (flat.type === undefined && rest['x-kubernetes-preserve-unknown-fields'] !== true) {
    throw new NotStructural(`${path || '.'}: a structural schema names the type of each value`);
  }
  return {
    ...rest,
    // zod bounds its integers by what JavaScript holds exactly; for the API server that is noise.
    ...(minimum === undefined || minimum === -MAX_SAFE ? {} : { minimum }),
    ...(maximum === undefined || maximum === MAX_SAFE ? {} : { maximum }),
    ...(items === undefined ? {} : { items: toStructural(items, `${path}[]`) }),
    ...(properties === undefined ? mapSchema(additionalProperties, path) : { properties: all(properties, path) }),
  };
}

function mapSchema(
  additional: JsonSchema | boolean | undefined,
  path: string,
): Pick<JsonSchema, 'additionalProperties'> {
  return typeof additional === 'object' ? { additionalProperties: toStructural(additional, `${path}.*`) } : {};
}

function all(properties: Readonly<Record<string, JsonSchema>>, path: string): Record<string, JsonSchema> {
  return Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [name, toStructural(schema, `${path}.${name}`)]),
  );
}

/** A union of objects told apart by one field becomes one object, and a CEL rule for each field that not all have. */
function flattenUnion(schema: JsonSchema, path: string): JsonSchema {
  const members = schema.anyOf ?? schema.oneOf;
  if (members === undefined || members.some((member) => member.properties === undefined)) return schema;
  const discriminator = discriminatorOf(members);
  if (discriminator === undefined) {
    throw new NotStructural(`${path || '.'}: the members of a union need one field of fixed value to tell them apart`);
  }
  const { anyOf: _, oneOf: __, ...rest } = schema;
  const names = [...new Set(members.flatMap((member) => Object.keys(member.properties ?? {})))];
  return {
    ...rest,
    type: 'object',
    properties: Object.fromEntries(
      names.map((name) => [name, name === discriminator ? mergedEnum(members, name) : firstOf(members, name, path)]),
    ),
    ...requiredByAll(members),
    'x-kubernetes-validations': [
      ...(schema['x-kubernetes-validations'] ?? []),
      ...members.flatMap((member) => member['x-kubernetes-validations'] ?? []),
      ...names.filter((name) => name !== discriminator).flatMap((name) => unionRules(members, discriminator, name)),
    ],
  };
}

function discriminatorOf(members: readonly JsonSchema[]): string | undefined {
  const [first] = members;
  return Object.keys(first?.properties ?? {}).find((name) =>
    members.every((member) => member.properties?.[name]?.enum?.length === 1),
  );
}

function mergedEnum(members: readonly JsonSchema[], name: string): JsonSchema {
  const schemas = present(members, name);
  // The first member's words and default are the field's.
  return Object.assign({}, ...schemas.toReversed(), { enum: schemas.flatMap((schema) => schema.enum ?? []) });
}

function present(members: readonly JsonSchema[], name: string): JsonSchema[] {
  return members.map((member) => member.properties?.[name]).filter((schema) => schema !== undefined);
}

function firstOf(members: readonly JsonSchema[], name: string, path: string): JsonSchema {
  const found = present(members, name);
  const [first = {}] = found;
  if (found.some((other) => JSON.stringify(other) !== JSON.stringify(first))) {
    throw new NotStructural(`${path}.${name}: the members of the union give this field different types`);
  }
  // The API server would fill a default in for the other members too, and then refuse what it has filled in.
  if (first.default !== undefined && found.length < members.length) {
    throw new NotStructural(`${path}.${name}: a field that not all members of a union have takes no default`);
  }
  return first;
}

function requiredByAll(members: readonly JsonSchema[]): Pick<JsonSchema, 'required'> {
  const [first] = members;
  const required = (first?.required ?? []).filter((name) => members.every((member) => member.required?.includes(name)));
  return required.length === 0 ? {} : { required };
}

function unionRules(members: readonly JsonSchema[], discriminator: string, name: string): CelRule[] {
  const having = members.filter((member) => member.properties?.[name] !== undefined);
  const needing = members.filter((member) => member.required?.includes(name));
  const values = (of: readonly JsonSchema[]) =>
    of.map((member) => String(member.properties?.[discriminator]?.enum?.[0]));
  const isOneOf = (of: readonly JsonSchema[]) =>
    `has(self.${discriminator}) && self.${discriminator} in [${values(of)
      .map((value) => `'${value}'`)
      .join(', ')}]`;
  const rules: CelRule[] = [];
  if (having.length < members.length) {
    rules.push({
      rule: `!has(self.${name}) || (${isOneOf(having)})`,
      message: `${name} is only for ${discriminator} ${values(having).join(' or ')}; remove it or change ${discriminator}`,
    });
  }
  if (needing.length > 0 && needing.length < members.length) {
    rules.push({
      rule: `has(self.${name}) || !(${isOneOf(needing)})`,
      message: `${discriminator} ${values(needing).join(' and ')} needs ${name}`,
    });
  }
  return rules;
}
