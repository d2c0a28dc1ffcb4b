/** Values for programs: JSON and YAML that are safe to look at, too. */
import { Document, isScalar, visit } from 'yaml';

export type Format = 'table' | 'wide' | 'json' | 'yaml';

/** One object, indented. */
export const toJson = (value: unknown): string => escaped(JSON.stringify(value, undefined, 2));

/** One object on one line. */
export const toJsonLine = (value: unknown): string => escaped(JSON.stringify(value));

export function toYaml(value: unknown): string {
  const document = new Document(value, { aliasDuplicateObjects: false });
  visit(document, {
    Scalar: (_key, node) => {
      // Only quoted scalars may hold escapes.
      if (isScalar(node) && typeof node.value === 'string' && /\p{C}/u.test(node.value)) node.type = 'QUOTE_DOUBLE';
    },
  });
  return escaped(
    document.toString({ lineWidth: 0, doubleQuotedMinMultiLineLength: Number.MAX_SAFE_INTEGER }),
  ).trimEnd();
}

/** Both formats know \uXXXX inside of quotes, and nothing outside of quotes comes from the network. */
function escaped(text: string): string {
  return text.replaceAll(/[^\P{C}\n]/gu, (char) =>
    [...Array(char.length).keys()].map((at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`).join(''),
  );
}
