/** `mirrorplane completion bash`: words of the tree of commands. */
import { Argument, type Command } from 'commander';
import { DISPATCHED } from '../dispatched.ts';

/** Adds `completion`. */
export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .description('print a script that completes commands and options: source <(mirrorplane completion bash)')
    .addArgument(new Argument('<shell>').choices(['bash']))
    .action(() => void process.stdout.write(bashScript(program)));
}

/** A bash script with one case for each command, keyed by the words that lead to it. */
export function bashScript(program: Command): string {
  const cases: string[] = [];
  const visit = (command: Command, words: readonly string[]) => {
    const children = command.commands.map((child) => child.name());
    if (words.length === 0) children.push(...DISPATCHED.map(([name]) => name));
    const options = [...command.options, ...(words.length > 0 ? program.options : [])].map((option) => option.long);
    cases.push(`    '${words.join(' ')}') words='${[...children, ...options, '--help'].join(' ')}' ;;`);
    for (const child of command.commands) visit(child, [...words, child.name()]);
  };
  visit(program, []);
  const nouns = program.commands.filter((command) => command.commands.length > 0).map((command) => command.name());
  return `_mirrorplane() {
  local words= path= word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) continue ;; esac
    case "$path" in
      '') path=$word ;;
      ${nouns.join(' | ')}) path="$path $word" ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
  if [ \${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")); fi
}
complete -F _mirrorplane mirrorplane
`;
}
