/** Text for terminals. */
import { styleText } from 'node:util';

export type Style = 'good' | 'bad' | 'warning' | 'faint';

/** A cell of a table: text, perhaps with what it means. */
export type Cell = string | { readonly text: string; readonly style: Style };

/** Colours a text, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string;

const COLOURS = { good: 'green', bad: 'red', warning: 'yellow', faint: 'dim' } as const;

export const noPaint: Paint = (_style, text) => text;

/** Colours only for people: not in files and pipes, not with NO_COLOR (https://no-color.org), not on a dumb terminal. */
export function painter(out: { readonly isTTY?: boolean }, environment: NodeJS.ProcessEnv): Paint {
  const plainOnly = (environment.NO_COLOR ?? '') !== '' || environment.TERM === 'dumb';
  if (out.isTTY !== true || plainOnly) return noPaint;
  return (style, text) => styleText(COLOURS[style], text, { validateStream: false });
}

/** Names come from the network: what could steer a terminal is shown as an escape. */
export function plain(text: string): string {
  return text.replaceAll(/\p{C}/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
}

/**
 * Rows as columns, each as wide as its widest cell.
 * @param least width of each column, for rows that come one by one
 */
export function columns(
  rows: readonly (readonly Cell[])[],
  paint: Paint = noPaint,
  least: readonly number[] = [],
): string {
  const clean = rows.map((row) =>
    row.map((cell) => (typeof cell === 'string' ? { text: plain(cell) } : { ...cell, text: plain(cell.text) })),
  );
  const count = Math.max(0, ...clean.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, at) =>
    Math.max(least[at] ?? 0, ...clean.map((row) => row[at]?.text.length ?? 0)),
  );
  return clean
    .map((row) =>
      row
        .map((cell, at) => {
          const padding = at === row.length - 1 ? '' : ' '.repeat((widths[at] ?? 0) - cell.text.length);
          return `${'style' in cell ? paint(cell.style, cell.text) : cell.text}${padding}`;
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
