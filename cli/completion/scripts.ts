/** What a shell needs to ask `weft __complete` for the words that fit; where none do it offers files. */

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

export function completionScript(shell: Shell, name: string): string {
  return SCRIPTS[shell].replaceAll('NAME', name);
}

/** Bash takes = and : for the ends of words: what stands before them is put back and cut off again. */
const bash = `# NAME completion: source <(NAME completion bash)
_NAME() {
  local line="\${COMP_LINE:0:COMP_POINT}" words cur word
  read -ra words <<<"$line"
  [[ "$line" == *[[:space:]] ]] && words+=("")
  cur="\${COMP_WORDS[COMP_CWORD]}"
  [[ "$cur" == "=" ]] && cur=""
  word="\${words[\${#words[@]} - 1]}"
  COMPREPLY=()
  while IFS= read -r line; do
    [[ -n "$line" ]] && COMPREPLY+=("\${line:\${#word} - \${#cur}}")
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -o default -F _NAME NAME
`;

const zsh = `#compdef NAME
# NAME completion: source <(NAME completion zsh)
_NAME() {
  local -a found
  found=("\${(@f)$("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  found=("\${(@)found:#}")
  if (( \${#found} )); then compadd -a found; else _files; fi
}
if [[ "\${funcstack[1]}" = _NAME ]]; then _NAME "$@"; else compdef _NAME NAME; fi
`;

const fish = `# NAME completion: NAME completion fish | source
function __NAME_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete -- $words[2..] 2>/dev/null
end
complete -c NAME -a '(__NAME_complete)'
`;

const SCRIPTS: Readonly<Record<Shell, string>> = { bash, zsh, fish };
