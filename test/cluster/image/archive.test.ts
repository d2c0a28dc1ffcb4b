import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { run } from '../run.ts';
import { aptSources } from './apt-sources.ts';
import { buildArchive, imagesOf } from './archive.ts';
import { buildLayer } from './layer.ts';

const dir = mkdtempSync(join(tmpdir(), 'weft-image-'));
const home = process.env.XDG_CACHE_HOME;
process.env.XDG_CACHE_HOME = join(dir, 'cache');
afterAll(() => {
  if (home === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = home;
  rmSync(dir, { recursive: true, force: true });
});

const long = `${'directory-with-a-long-name/'.repeat(6)}file-é`;

function tree(name: string): string {
  const root = join(dir, name);
  mkdirSync(join(root, long, '..'), { recursive: true });
  writeFileSync(join(root, long), 'deep');
  writeFileSync(join(root, 'tool'), 'x'.repeat(100_000));
  chmodSync(join(root, 'tool'), 0o4755);
  linkSync(join(root, 'tool'), join(root, 'alias'));
  return root;
}

test("tar(1) reads a layer's files, modes, links and long names", async () => {
  const layer = await buildLayer([
    { from: tree('a'), to: '/opt/app' },
    { content: 'hello', to: '/etc/greeting', mode: 0o600 },
    { symlink: '/opt/app/tool', to: '/bin/tool' },
    { directory: '/tmp', mode: 0o1777 },
  ]);
  const out = join(dir, 'out');
  mkdirSync(out);
  await run(['tar', '-xpf', layer.file, '-C', out]);
  expect(readFileSync(join(out, 'opt/app', long), 'utf8')).toBe('deep');
  const listing = await run(['tar', '-tvf', layer.file]);
  expect(listing).toMatch(/^-rwsr-xr-x 0\/0 +100000 1970-01-01 .* opt\/app\/alias$/m);
  expect(listing).toMatch(/^hrwsr-xr-x .* opt\/app\/tool link to opt\/app\/alias$/m);
  expect(listing).toMatch(/^lrwxrwxrwx .* bin\/tool -> \/opt\/app\/tool$/m);
  expect(listing).toMatch(/^drwxrwxrwt .* tmp\/$/m);
  expect(listing).toMatch(/^-rw------- .* etc\/greeting$/m);
});

test('equal contents give the same archive, byte for byte, wherever and whenever they were made', async () => {
  const build = async (cache: string, root: string) => {
    process.env.XDG_CACHE_HOME = join(dir, cache);
    const base = await buildLayer([{ from: root, to: '/' }]);
    const image = { layers: [base], entrypoint: ['/tool'], env: { A: 'b' } };
    return buildArchive([
      { ...image, name: 'weft.local/one:1' },
      { ...image, name: 'weft.local/two:1', user: '1000' },
    ]);
  };
  const first = await build('one', tree('b'));
  copyFileSync(join(dir, 'b', 'tool'), join(dir, 'b', 'copy'));
  rmSync(join(dir, 'b', 'copy'));
  const second = await build('two', tree('c'));
  expect(first).not.toBe(second);
  expect(readFileSync(first).equals(readFileSync(second))).toBe(true);
  const names = (await run(['tar', '-tf', first])).split('\n');
  // Two configurations, two manifests, one shared layer.
  expect(names.filter((name) => name.startsWith('blobs/'))).toHaveLength(5);
  expect((await imagesOf(first)).map((image) => image.name)).toEqual(['weft.local/one:1', 'weft.local/two:1']);
});

test('an archive of another kind, or a name without a tag, is refused with a sentence', async () => {
  const other = join(dir, 'other.tar');
  writeFileSync(other, 'hello');
  await expect(imagesOf(other)).rejects.toThrow('does not begin with index.json');
  await expect(buildArchive([{ name: 'weft.local/agent', layers: [], entrypoint: [] }])).rejects.toThrow(
    'ends in a tag',
  );
});

test('apt sources of the release are taken in both formats, and those of vendors left out', () => {
  const stanza = `Types: deb
# a comment
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://deb.example.org/node
Suites: nodistro
Components: main
`;
  expect(aptSources(stanza, 'bookworm')).toEqual([
    'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main',
    'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm-updates main',
  ]);
  const lines =
    '# no\ndeb http://x/debian bookworm main contrib\ndeb-src http://x/debian bookworm main\ndeb http://y/sdk cloud-sdk-bookworm main\n';
  expect(aptSources(lines, 'bookworm')).toEqual(['deb http://x/debian bookworm main contrib']);
});
