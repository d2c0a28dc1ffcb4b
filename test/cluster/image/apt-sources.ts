/**
 * The sources of one Debian release in the text of a file of /etc/apt, in either format of sources.list(5),
 * as one-line entries. Others (a vendor's repository) are left out: their suites have other names.
 */
export function aptSources(text: string, codename: string): string[] {
  return /^Types:/im.test(text) ? stanzas(text, codename) : oneLiners(text, codename);
}

function oneLiners(text: string, codename: string): string[] {
  return text.split('\n').filter((line) => {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)$/.exec(line);
    return match !== null && isOf(match[2] ?? '', codename) && words(match[3] ?? '').includes('main');
  });
}

function stanzas(text: string, codename: string): string[] {
  const withoutComments = text.split('\n').filter((line) => !line.startsWith('#'));
  return withoutComments
    .join('\n')
    .split(/\n\s*\n/)
    .flatMap((stanza) => {
      const field = (name: string) => new RegExp(`^${name}:(.*(?:\\n[ \\t].*)*)`, 'im').exec(stanza)?.[1]?.trim() ?? '';
      const components = words(field('Components'));
      const enabled = field('Enabled').toLowerCase() !== 'no';
      if (!enabled || !words(field('Types')).includes('deb') || !components.includes('main')) return [];
      const key = field('Signed-By');
      // A key that is in the stanza itself has no one-line form; Debian's own is known to apt anyway.
      const options = key.startsWith('/') ? `[signed-by=${key}] ` : '';
      return words(field('URIs')).flatMap((uri) =>
        words(field('Suites'))
          .filter((suite) => isOf(suite, codename))
          .map((suite) => `deb ${options}${uri} ${suite} ${components.join(' ')}`),
      );
    });
}

function isOf(suite: string, codename: string): boolean {
  return suite === codename || suite.startsWith(`${codename}-`);
}

function words(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}
