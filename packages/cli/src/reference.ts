/** The tree of commands as Markdown, for docs/reference/cli.md. */
import type { Command, Option } from 'commander';
import { EXIT_CODES } from './exit.ts';

/** docs/reference/cli.md has the output of `commandReference` between these two lines. */
export const REFERENCE_BEGIN = '<!-- commands: made by packages/cli/test/reference.test.ts -->';
export const REFERENCE_END = '<!-- end of commands -->';

/** Every exit code, every command, every option. */
export function commandReference(program: Command): string {
  const parts = [
    '## Exit codes\n',
    table(
      ['code', 'meaning'],
      Object.values(EXIT_CODES).map(({ code, meaning }) => [`${code}`, meaning]),
    ),
    '## Options of every command\n',
    optionTable(program.options),
  ];
  const visit = (command: Command, words: string) => {
    const name = `${words} ${command.name()}`;
    const isNoun = command.commands.length > 0;
    const level = isNoun || !words.includes(' ') ? '##' : '###';
    parts.push(`${level} ${name}${argumentsOf(command)}\n`, `${sentence(command.description())}\n`);
    if (command.options.length > 0) {
      parts.push(optionTable(command.options));
    }
    for (const child of command.commands) {
      visit(child, name);
    }
  };
  for (const command of program.commands) {
    visit(command, program.name());
  }
  return parts.join('\n');
}

/** ` NAME [ID…]`, or nothing. */
function argumentsOf(command: Command): string {
  const args = command.registeredArguments.map((argument) => {
    const text = `${argument.name()}${argument.variadic ? '…' : ''}`.toUpperCase();
    return ` ${argument.required ? text : `[${text}]`}`;
  });
  return args.join('');
}

function optionTable(options: readonly Option[]): string {
  const rows = options.map((option) => {
    const details = [
      option.description,
      option.argChoices ? `choices: ${option.argChoices.join(', ')}` : '',
      option.defaultValue === undefined || typeof option.defaultValue === 'boolean'
        ? ''
        : `default ${option.defaultValue}`,
      option.mandatory ? 'required' : '',
    ];
    return [`\`${option.flags}\``, details.filter(Boolean).join('; ')];
  });
  return table(['option', 'meaning'], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
