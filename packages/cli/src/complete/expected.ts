/** Finds the words, or the names of the controller, that are possible at the cursor. Pure. */
import type { Argument, Command, Option } from 'commander';
import { DISPATCHED } from '../dispatched.ts';
import type { Completed } from '../resources.ts';

/** The candidates for one place. */
export interface Expected {
  /** Words that are known without asking the controller. */
  words: string[];
  /** Kind of the resources whose names are possible. */
  names?: Completed;
  /** Values of global options before the cursor, by attribute: they say which controller to ask. */
  options: Record<string, string>;
}

/** Kinds by the noun of a command, and by the name of an option that takes a resource. */
const BY_NOUN: Record<string, Completed> = {
  policy: 'Policy',
  interface: 'Interface',
  node: 'Node',
  pool: 'Pool',
  domain: 'Domain',
  look: 'Look',
};
/** Kinds by a command that has no noun. */
const BY_COMMAND: Record<string, Completed> = { capture: 'Interface' };
const BY_OPTION: Record<string, Completed> = {
  policy: 'Policy',
  source: 'Interface',
  addSource: 'Interface',
  removeSource: 'Interface',
  destination: 'Interface',
  node: 'Node',
  pool: 'Pool',
  domain: 'Domain',
};
/** Verbs that take a new name, so nothing can be offered. */
const MAKING = ['create', 'declare'];

/**
 * Finds candidates for the last of `words`.
 * @param words the words after "mirrorplane" up to the cursor; the last one is the incomplete word
 */
export function expected(program: Command, words: readonly string[]): Expected {
  const current = words.at(-1) ?? '';
  const options: Record<string, string> = {};
  let command = program;
  let arguments_ = 0;
  /** The option that needs a value next. */
  let open: Option | undefined;
  for (const word of words.slice(0, -1)) {
    if (open !== undefined && !word.startsWith('-')) {
      options[open.attributeName()] = word;
      if (!open.variadic) {
        open = undefined;
      }
      continue;
    }
    open = undefined;
    if (word.startsWith('-')) {
      const [flag, value] = word.split(/=(.*)/s) as [string, string?];
      const option = optionsOf(program, command).find(({ short, long }) => flag === short || flag === long);
      if (option === undefined || !takesValue(option)) {
        continue;
      }
      if (value === undefined) {
        open = option;
      } else {
        options[option.attributeName()] = value;
      }
      continue;
    }
    const child = command.commands.find((one) => one.name() === word);
    if (child === undefined) {
      arguments_ += 1;
    } else {
      command = child;
    }
  }
  if (open !== undefined && !current.startsWith('-')) {
    return { ...valuesOf(open), options };
  }
  if (current.startsWith('-')) {
    const flags = optionsOf(program, command).filter(({ hidden }) => !hidden);
    return { words: [...flags.map(({ long, short }) => long ?? short ?? ''), '--help'], options };
  }
  if (command.commands.length > 0) {
    const dispatched = command === program ? DISPATCHED.map(([name]) => name) : [];
    return { words: [...command.commands.map((child) => child.name()), ...dispatched], options };
  }
  return { ...argumentsOf(command, arguments_), options };
}

function optionsOf(program: Command, command: Command): readonly Option[] {
  return command === program ? program.options : [...command.options, ...program.options];
}

function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

function valuesOf(option: Option): Omit<Expected, 'options'> {
  const names = BY_OPTION[option.attributeName()];
  return { words: option.argChoices ?? [], ...(names && { names }) };
}

function argumentsOf(command: Command, at: number): Omit<Expected, 'options'> {
  const { registeredArguments } = command;
  const argument: Argument | undefined =
    registeredArguments[at] ?? (registeredArguments.at(-1)?.variadic ? registeredArguments.at(-1) : undefined);
  if (argument === undefined) {
    return { words: [] };
  }
  if (argument.argChoices) {
    return { words: argument.argChoices };
  }
  const names = MAKING.includes(command.name())
    ? undefined
    : (BY_COMMAND[command.name()] ?? BY_NOUN[command.parent?.name() ?? '']);
  return { words: [], ...(names && { names }) };
}
