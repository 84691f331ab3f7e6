/** The tree of commands as data, for man pages. */
import type { Command, Option } from 'commander';
import { buildProgram } from './program.ts';

/** An option, as in `--help`. */
export interface DescribedOption {
  flags: string;
  description: string;
  choices?: string[];
  /** Absent where there is none. */
  default?: string | number | boolean;
}

/** A command that does something. Groups of commands are left out. */
export interface DescribedCommand {
  /** As `policy create NAME`. */
  usage: string;
  description: string;
  options: DescribedOption[];
}

/** The whole program: the global options and every command. */
export function commandsOf(): { description: string; options: DescribedOption[]; commands: DescribedCommand[] } {
  const program = buildProgram();
  const commands: DescribedCommand[] = [];
  const visit = (command: Command, words: string) => {
    const name = `${words}${command.name()}`;
    for (const child of command.commands) {
      visit(child, `${name} `);
    }
    if (command.commands.length > 0) {
      return;
    }
    const args = command.registeredArguments.map((argument) => {
      const text = `${argument.name()}${argument.variadic ? '…' : ''}`.toUpperCase();
      return ` ${argument.required ? text : `[${text}]`}`;
    });
    commands.push({
      usage: `${name}${args.join('')}`,
      description: command.description(),
      options: command.options.filter(isShown).map(describe),
    });
  };
  for (const command of program.commands) {
    visit(command, '');
  }
  return { description: program.description(), options: program.options.filter(isShown).map(describe), commands };
}

function isShown(option: Option): boolean {
  return !option.hidden;
}

function describe(option: Option): DescribedOption {
  return {
    flags: option.flags,
    description: option.description,
    ...(option.argChoices && { choices: option.argChoices }),
    ...(option.defaultValue !== undefined && { default: option.defaultValue }),
  };
}
