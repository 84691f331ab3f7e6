/** `mirrorplane completion SHELL`: scripts that ask the command itself for words. */
import { Argument, type Command } from 'commander';

/**
 * Scripts by shell. Each gives the typed words to the command, and offers the words that it
 * returns. Without an answer, it offers file names.
 */
export const SCRIPTS = {
  bash: `_mirrorplane() {
  local IFS=$'\\n'
  COMPREPLY=($(mirrorplane __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _mirrorplane mirrorplane
`,
  zsh: `#compdef mirrorplane
_mirrorplane() {
  local -a found
  found=("\${(@f)$(mirrorplane __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${found[1]}" ]]; then compadd -- "\${found[@]}"; else _files; fi
}
if [[ "\${funcstack[1]}" = _mirrorplane ]]; then _mirrorplane "$@"; else compdef _mirrorplane mirrorplane; fi
`,
  fish: `function __mirrorplane_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found (mirrorplane __complete $words[2..-1] 2>/dev/null)
  if set -q found[1]
    printf '%s\\n' $found
  else
    __fish_complete_path $words[-1]
  end
end
complete -c mirrorplane -f -a '(__mirrorplane_complete)'
`,
} as const;

/** A shell that can complete. */
export type Shell = keyof typeof SCRIPTS;

/** Adds `completion`. */
export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .description('print a completion script for commands, options and names: source <(mirrorplane completion bash)')
    .addArgument(new Argument('<shell>').choices(Object.keys(SCRIPTS)))
    .action((shell: Shell) => void process.stdout.write(SCRIPTS[shell]));
}
