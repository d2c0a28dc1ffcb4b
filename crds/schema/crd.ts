import { z } from 'zod';
import { type CelRule, type JsonSchema, toStructural } from './structural.ts';

/** A column of `kubectl get`. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'boolean' | 'date';
  readonly jsonPath: string;
  readonly description?: string;
  /** Greater than 0: shown only with `-o wide`. */
  readonly priority?: number;
}

/** An example in the reference, and a case of the tests. */
export interface Example {
  readonly title: string;
  readonly object: Readonly<Record<string, unknown>>;
}

/** An object that the API server must refuse, and words of the sentence that it says. */
export interface BadExample extends Example {
  readonly refused: RegExp;
}

/** One of Weft's kinds: everything that its CustomResourceDefinition and its reference page are made of. */
export interface KindDefinition {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  readonly scope: 'Namespaced' | 'Cluster';
  readonly description: string;
  readonly spec: z.ZodType;
  readonly status: z.ZodType;
  /** CEL rules over the whole object; only there can a rule see the object's name. */
  readonly rules: readonly CelRule[];
  readonly columns: readonly PrinterColumn[];
  readonly examples: readonly Example[];
  readonly badExamples: readonly BadExample[];
}

export interface CustomResourceDefinition {
  readonly apiVersion: 'apiextensions.k8s.io/v1';
  readonly kind: 'CustomResourceDefinition';
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly group: string;
    readonly scope: 'Namespaced' | 'Cluster';
    readonly names: {
      readonly kind: string;
      readonly listKind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames?: readonly string[];
      readonly categories?: readonly string[];
    };
    readonly versions: readonly CrdVersion[];
  };
}

export interface CrdVersion {
  readonly name: string;
  readonly served: boolean;
  readonly storage: boolean;
  readonly subresources: { readonly status: Readonly<Record<string, never>> };
  readonly additionalPrinterColumns: readonly PrinterColumn[];
  readonly schema: { readonly openAPIV3Schema: JsonSchema };
}

export function structuralOf(schema: z.ZodType): JsonSchema {
  // Through JSON: what zod returns is typed for all JSON Schema drafts and holds symbols.
  const parsed: JsonSchema = JSON.parse(JSON.stringify(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input' })));
  return toStructural(parsed);
}

/** The CustomResourceDefinition of a kind, in category `weft`, with a status subresource. */
export function crdOf(definition: KindDefinition): CustomResourceDefinition {
  const { group, version, kind, plural, scope } = definition;
  const singular = kind.toLowerCase();
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}`, labels: { 'app.kubernetes.io/part-of': 'weft' } },
    spec: {
      group,
      scope,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular,
        shortNames: definition.shortNames,
        categories: ['weft'],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: definition.columns,
          schema: { openAPIV3Schema: objectSchema(definition) },
        },
      ],
    },
  };
}

function objectSchema(definition: KindDefinition): JsonSchema {
  return {
    type: 'object',
    description: definition.description,
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      spec: structuralOf(definition.spec),
      status: structuralOf(definition.status),
    },
    'x-kubernetes-validations': definition.rules,
  };
}
