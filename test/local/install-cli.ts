/** Puts `weft` and `kubectl weft` where a shell finds them. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Writes small shell scripts that run the bundle with that Node, whatever the directory and PATH of the caller:
 * `weft`; `kubectl-weft`, which kubectl runs as `kubectl weft`; `kubectl_complete-weft`, which it asks for completions
 * (https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/). Those that are there are replaced in one step.
 * @param binDir made if it is absent
 * @returns their paths
 */
export function installCli(binDir: string, node: string, bundle: string): readonly string[] {
  mkdirSync(binDir, { recursive: true });
  const weft = `${quoted(node)} ${quoted(bundle)}`;
  const scripts = {
    weft: `exec ${weft} "$@"`,
    'kubectl-weft': `WEFT_COMMAND='kubectl weft' exec ${weft} "$@"`,
    // The last line tells kubectl what to do beside: 4 is to offer no files, as cobra numbers it.
    'kubectl_complete-weft': `${weft} __complete -- "$@" && echo :4`,
  };
  return Object.entries(scripts).map(([name, command]) => {
    const path = join(binDir, name);
    writeFileSync(`${path}.new`, `#!/bin/sh\n${command}\n`, { mode: 0o755 });
    renameSync(`${path}.new`, path);
    return path;
  });
}

/** For a shell: nothing in it has a meaning. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
