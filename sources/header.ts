/** Names and values of headers, as far as Envoy takes them. */
import { type Problems, quote } from './parse.ts';

/** Characters of a header's value. */
const MAX_LENGTH = 4096;

/** What frames and directs a request is Envoy's. */
export const FIXED = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'upgrade', 'te', 'trailer']);

/** In lower case; undefined, with a problem, where it is none. */
export function headerName(value: unknown, field: string, problems: Problems): string | undefined {
  if (typeof value === 'string' && value.length <= 256 && /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(value)) {
    return value.toLowerCase();
  }
  problems.error(field, `${quote(value)} is not the name of a header as X-Token.`);
  return undefined;
}

export function headerValue(value: unknown, field: string, problems: Problems): string | undefined {
  if (typeof value !== 'string') {
    problems.error(field, `The value of a header is a string, but this is ${quote(value)}.`);
  } else if (value.length > MAX_LENGTH) {
    problems.error(field, `It has ${value.length} characters, but at most ${MAX_LENGTH} are supported here.`);
  } else if (value === '' || value.trim() !== value || hasControl(value)) {
    problems.error(
      field,
      `${quote(value)} is no value that a header can have: none is empty, begins or ends with a space, or contains control characters.`,
    );
  } else {
    return value;
  }
  return undefined;
}

function hasControl(value: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
  return /[\u0000-\u001f\u007f]/.test(value) || !value.isWellFormed();
}
