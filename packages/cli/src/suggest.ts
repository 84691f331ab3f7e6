/** Suggests a command for words of other tools: `get policies`, `rm`, `create policy`. Pure. */
import type { Command } from 'commander';

/** Words of other tools, each with our verbs, the closest first. */
const VERBS: Record<string, readonly string[]> = {
  get: ['show', 'list'],
  describe: ['show', 'list'],
  inspect: ['show', 'list'],
  info: ['show', 'list'],
  view: ['show', 'list'],
  show: ['show', 'list'],
  ls: ['list'],
  rm: ['delete'],
  remove: ['delete'],
  del: ['delete'],
  destroy: ['delete'],
  create: ['create', 'declare'],
  add: ['create', 'declare'],
  new: ['create', 'declare'],
  make: ['create', 'declare'],
  declare: ['declare', 'create'],
  set: ['edit', 'create', 'declare'],
  update: ['edit', 'create', 'declare'],
  change: ['edit', 'create', 'declare'],
  modify: ['edit', 'create', 'declare'],
  patch: ['edit'],
  start: ['enable'],
  on: ['enable'],
  stop: ['disable'],
  off: ['disable'],
  pause: ['disable'],
  stats: ['status'],
  state: ['status'],
  counters: ['status'],
};
/** Other words for a noun, apart from its plural. */
const NOUNS: Record<string, string> = { if: 'interface', iface: 'interface', mirror: 'policy', host: 'node' };

/**
 * The command that is closest to the words, as text that a user can type.
 * @param words the words after "mirrorplane", up to the first option
 * @returns undefined if no command is close, or the words are a command
 */
export function meant(program: Command, words: readonly string[]): string | undefined {
  const [first = '', second = ''] = words;
  const swapped = nounOf(program, first) === undefined && nounOf(program, second) !== undefined;
  const noun = nounOf(program, swapped ? second : first);
  const verb = swapped ? first : noun === undefined ? first : second;
  const rest = words.slice(noun === undefined ? 1 : 2);
  if (noun === undefined && program.commands.some((one) => one.name() === verb)) {
    return undefined;
  }
  // Words without a noun are most likely about policies.
  const command = program.commands.find((one) => one.name() === (noun ?? 'policy'))!;
  const typed = ['mirrorplane', command.name()];
  if (command.commands.length > 0) {
    const known = command.commands.map((one) => one.name());
    const wanted = verb === '' ? ['list'] : (VERBS[verb] ?? [verb]);
    // "get" means `show` with a name, and `list` without.
    const found = wanted.find((one) => known.includes(one) && !(one === 'show' && rest.length === 0));
    if (found === undefined) {
      return undefined;
    }
    typed.push(found);
  } else if (verb !== '' && VERBS[verb] === undefined && verb !== 'list') {
    return undefined;
  }
  const text = [...typed, ...rest].join(' ');
  return text === `mirrorplane ${words.join(' ')}` || /[^\w./:@+ -]/.test(text) ? undefined : text;
}

function nounOf(program: Command, word: string): string | undefined {
  const singular = NOUNS[word] ?? word.replace(/ies$/, 'y');
  return program.commands
    .map((one) => one.name())
    .filter(
      (name) => name === 'events' || program.commands.some((one) => one.name() === name && one.commands.length > 0),
    )
    .find((name) => name === word || name === singular || `${name}s` === singular || name === `${singular}s`);
}
