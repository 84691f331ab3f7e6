/** Rewrites a refusal for the command: names of options instead of fields of the API. */
import type { Problem } from '@mirrorplane/contract';
import type { Command, Option } from 'commander';

/**
 * The problem with option names for the fields that this command has options for. Fields from a
 * file or an editor keep their names.
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

/** The option for a path such as `vlanId`, `edge.allowedVlans` or `sources[3]`. */
function optionOf(command: Command, field: string, words: ReadonlyMap<string, string>): string | undefined {
  const [, name = '', at] = /^(?:\w+\.)?(\w+?)(?:\[(\d+)\])?$/.exec(field) ?? [];
  const own = words.get(name);
  if (own !== undefined || at === undefined) {
    return own ?? (name === 'boundTo' ? words.get('node') : undefined);
  }
  // Each item of a list has its own option.
  const singular = name.replace(/s$/, '');
  const values: unknown = command.opts()[singular];
  const value = Array.isArray(values) ? values[Number(at)] : undefined;
  if (value !== undefined) {
    return `${words.get(singular)} ${value}`;
  }
  const adding = `add${singular.charAt(0).toUpperCase()}${singular.slice(1)}`;
  return command.opts()[adding] === undefined ? undefined : words.get(adding);
}

/**
 * Replaces field names in a text. Only names with an inner capital letter are replaced, because
 * other names are also English words.
 */
function inOptions(text: string, words: ReadonlyMap<string, string>): string {
  return text.replaceAll(/(?<![\w-])[a-z]+[A-Z]\w*/g, (name) => words.get(name) ?? name);
}
