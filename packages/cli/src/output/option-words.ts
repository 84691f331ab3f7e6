/** A refusal in the words of the command that asked: options where it took options, and not fields of the API. */
import type { Problem } from '@mirrorplane/contract';
import type { Command, Option } from 'commander';

/**
 * The problem with options for the fields that this command has options for. What came from a file or an editor keeps the
 * names that stand there.
 */
export function inWordsOf(command: Command, problem: Problem): Problem {
  const given = command.options.filter((option) => isGiven(command, option));
  if (given.every(({ long }) => long === '--dry-run')) {
    return problem;
  }
  const words = new Map(command.options.map((option) => [option.attributeName(), option.long ?? option.flags]));
  const takesNone = new Set(
    command.options.filter(({ description }) => description.includes('"none"')).map(({ long }) => long ?? ''),
  );
  const inWords = (text: string) =>
    inOptions(text, words).replace(/remove (--[\w-]+) \S+/, (whole, long) =>
      takesNone.has(long) ? `give "${long} none"` : whole,
    );
  return {
    ...problem,
    detail: inWords(problem.detail),
    errors: problem.errors.map(({ field, message, ...rest }) => ({
      ...rest,
      field: optionOf(command, field, words) ?? field,
      message: inWords(message),
    })),
  };
}

function isGiven(command: Command, option: Option): boolean {
  return command.getOptionValueSource(option.attributeName()) === 'cli';
}

/** The option for a path as `vlanId`, `edge.allowedVlans` or `sources[3]`. */
function optionOf(command: Command, field: string, words: ReadonlyMap<string, string>): string | undefined {
  const [, name = '', at] = /^(?:\w+\.)?(\w+?)(?:\[(\d+)\])?$/.exec(field) ?? [];
  const own = words.get(name);
  if (own !== undefined || at === undefined) {
    return own ?? (name === 'boundTo' ? words.get('node') : undefined);
  }
  // A list is one option for each of its items.
  const singular = name.replace(/s$/, '');
  const values: unknown = command.opts()[singular];
  const value = Array.isArray(values) ? values[Number(at)] : undefined;
  if (value !== undefined) {
    return `${words.get(singular)} ${value}`;
  }
  const adding = `add${singular.charAt(0).toUpperCase()}${singular.slice(1)}`;
  return command.opts()[adding] === undefined ? undefined : words.get(adding);
}

/** Names of fields that are no words of English are told from those that are by a capital within. */
function inOptions(text: string, words: ReadonlyMap<string, string>): string {
  return text.replaceAll(/(?<![\w-])[a-z]+[A-Z]\w*/g, (name) => words.get(name) ?? name);
}
