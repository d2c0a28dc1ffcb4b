/** What a kernel was found to have, held against the table of docs/kernels.md. */

/** By name, of the lines "FEATURE name yes" and "FEATURE name no". */
export function featuresOf(output: string): ReadonlyMap<string, string> {
  return new Map([...output.matchAll(/^FEATURE (\S+) (yes|no)$/gm)].map((line) => [line[1] ?? '', line[2] ?? '']));
}

/**
 * Where the table and the kernel differ, a sentence each.
 * @param table Markdown with a table whose head names kernels ("| feature | 6.1 | 6.12 | … |") and whose rows begin with
 *   the feature in backticks
 */
export function differences(table: string, version: string, found: ReadonlyMap<string, string>): string[] {
  const rows = table
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  const column = rows.find((row) => row[1] === 'feature')?.indexOf(version) ?? -1;
  if (column < 0) return [`the table has no column for kernel ${version}`];
  const told = new Map(
    rows.filter((row) => row[1]?.startsWith('`')).map((row) => [row[1]?.replaceAll('`', '') ?? '', row[column]]),
  );
  return [...new Set([...told.keys(), ...found.keys()])]
    .filter((name) => told.get(name) !== found.get(name))
    .map(
      (name) =>
        `${name} on kernel ${version}: the table says "${told.get(name) ?? 'nothing'}", the kernel "${found.get(name) ?? 'nothing'}"`,
    );
}
