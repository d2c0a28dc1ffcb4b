// node setup.mjs [PROGRAM.ts [ARGS]]: installs the npm packages if they are not those of package-lock.json, among them the
// Node that everything else runs on, then runs PROGRAM on that Node. Runs itself on any Node from 20 on and needs nothing
// but npm, so that `npm run up` works in a fresh clone. (It starts PROGRAM itself, because a shell that found one `node`
// on PATH before the install keeps to that one after it.)
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

const root = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..', '..');
const stamp = join(root, 'node_modules', '.weft-installed');
const want = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex');

const installed = existsSync(stamp) && readFileSync(stamp, 'utf8') === want;
if (!installed) {
  process.stderr.write('installing npm packages (a minute or so)\n');
  const started = Date.now();
  const npm = spawnSync('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (npm.status !== 0) {
    process.stderr.write(
      'npm install failed, see above. Is the npm registry reachable (npm ping)? Then run the command again.\n',
    );
    process.exit(1);
  }
  writeFileSync(stamp, want);
  process.stderr.write(`npm packages installed in ${Math.round((Date.now() - started) / 1000)} s\n`);
}

const node = join(root, 'node_modules', '.bin', 'node');
const generate = spawnSync(node, [join(root, 'packages/xds-protos/scripts/generate.ts'), '--all'], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
});
if (generate.status !== 0) {
  process.stderr.write('generating the types of the wire protocols failed, see above.\n');
  process.exit(1);
}

const [program, ...args] = process.argv.slice(2);
if (program !== undefined) {
  const path = `${dirname(node)}${delimiter}${process.env.PATH ?? ''}`;
  const child = spawn(node, [join(root, program), ...args], { stdio: 'inherit', env: { ...process.env, PATH: path } });
  // A terminal's ^C reaches the child as well; what is sent to this process alone is passed on.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const other of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(other);
    process.kill(process.pid, signal);
  });
}
