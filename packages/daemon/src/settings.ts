/**
 * The settings of a daemon. Each option of its command can also be set in the environment or in a
 * file.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { readSettingsFile } from './settings-file.ts';
import { describeSettings, isSetting, settingKey } from './settings-names.ts';

/** Where settings come from, besides the file. */
export interface SettingsOptions {
  /** Prefix of the names in the environment, for example MIRRORPLANE_AGENT. */
  prefix: string;
  /** Default `process.argv`. */
  argv?: readonly string[];
  /** Default `process.env`. */
  env?: NodeJS.ProcessEnv;
}

/** Sources of a value, in order of precedence. */
const SOURCES = ['cli', 'env', 'config'] as const;
type Source = (typeof SOURCES)[number];

/** A value from the environment or the file, and the name of its place for messages. */
interface Given {
  source: Source;
  value: unknown;
  where: string;
}

/**
 * Reads the settings of a daemon. A value comes from the command line, else from the environment,
 * else from the file of `--config`, else from the defaults. `command.opts()` has the result.
 *
 * Every option with a value and every `--no-…` is a setting. Its key in the file is its name in
 * camel case. Its name in the environment is the prefix and the name in capitals. An option without
 * a value, such as `--uninstall`, requests one action, and is accepted only on the command line. A
 * wrong value ends the process with a message, or as `command.exitOverride` says.
 */
export function parseSettings(command: Command, { prefix, argv = process.argv, env = process.env }: SettingsOptions) {
  command.option('--config <file>', `file with settings (env: ${prefix}_CONFIG)`);
  command.addOption(new Option('--describe-settings', 'print all settings as JSON, and exit').hideHelp());
  command.addHelpText(
    'after',
    `\nEach option with a value, and each --no-…, can also be set in the environment,
for example ${prefix}_LOG_LEVEL=debug, or in the file of --config,
for example "logLevel: debug". The command line overrides the environment, and
the environment overrides the file.`,
  );
  // A mandatory option may be set in the file, and commander would require it before the file is
  // read.
  const mandatory = command.options.filter((option) => option.mandatory);
  for (const option of mandatory) {
    option.mandatory = false;
  }
  const ownNames = takeOwnNames(command);
  command.parse(argv);
  if (command.getOptionValue('describeSettings')) {
    process.stdout.write(`${JSON.stringify(describeSettings(command, prefix, mandatory), null, 2)}\n`);
    process.exit(0);
  }
  try {
    settle(command, { prefix, env, ownNames });
  } catch (error) {
    if (!(error instanceof SettingError)) {
      throw error;
    }
    command.error(`error: ${error.message}`);
  }
  for (const option of mandatory) {
    if (command.getOptionValue(option.attributeName()) !== undefined) {
      continue;
    }
    command.error(
      `error: ${option.long} is missing: give it, or set ${environmentName(prefix, option)}, or "${settingKey(option)}" in the file of --config`,
    );
  }
}

class SettingError extends Error {}

/**
 * Environment names of options in addition to the prefixed name. Commander must not read them
 * itself: it would read them first, and would refuse them next to a command line option that
 * excludes them. The help still shows them.
 */
function takeOwnNames(command: Command): ReadonlyMap<Option, string> {
  const names = new Map<Option, string>();
  for (const option of command.options) {
    if (option.envVar === undefined) {
      continue;
    }
    names.set(option, option.envVar);
    option.description += ` (env: ${option.envVar})`;
    option.envVar = undefined;
  }
  return names;
}

/** The environment variables of a daemon. */
interface Environment {
  prefix: string;
  env: NodeJS.ProcessEnv;
  ownNames: ReadonlyMap<Option, string>;
}

function settle(command: Command, environment: Environment): void {
  const { prefix, env } = environment;
  const options = command.options.filter(isSetting);
  const file: string | undefined = command.getOptionValue('config') ?? (env[`${prefix}_CONFIG`] || undefined);
  const content = file === undefined ? {} : readFile(file);
  refuseUnknown(content, options, file);
  const given = new Map<Option, Given>();
  for (const option of options) {
    const found = find(option, { ...environment, command, content, file });
    if (found !== undefined) {
      given.set(option, found);
    }
  }
  for (const [option, { source, value, where }] of given) {
    if (source === 'cli' || beaten(option, source, given)) {
      continue;
    }
    command.setOptionValueWithSource(option.attributeName(), read(option, value, where), source);
  }
}

function readFile(file: string): Record<string, unknown> {
  try {
    return readSettingsFile(file);
  } catch (error) {
    throw new SettingError((error as Error).message);
  }
}

function refuseUnknown(content: Record<string, unknown>, options: readonly Option[], file: string | undefined): void {
  const known = options.map(settingKey);
  for (const key of Object.keys(content)) {
    if (known.includes(key)) {
      continue;
    }
    throw new SettingError(`${file}: there is no setting "${key}": use ${known.join(', ')}`);
  }
}

interface Places extends Environment {
  command: Command;
  content: Record<string, unknown>;
  file: string | undefined;
}

function find(option: Option, { command, prefix, env, ownNames, content, file }: Places): Given | undefined {
  const source: string | undefined = command.getOptionValueSource(option.attributeName());
  if (source === 'cli') {
    return { source, value: undefined, where: option.flags };
  }
  for (const name of [environmentName(prefix, option), ownNames.get(option) ?? '']) {
    const text = env[name];
    if (text !== undefined && text !== '') {
      return { source: 'env', value: text, where: `${name} in the environment` };
    }
  }
  const key = settingKey(option);
  if (!Object.hasOwn(content, key)) {
    return undefined;
  }
  return { source: 'config', value: content[key], where: `${file}: ${key}` };
}

/**
 * If two options exclude each other, the option from the source of higher precedence counts.
 * @throws SettingError if both have the same source
 */
function beaten(option: Option, source: Source, given: ReadonlyMap<Option, Given>): boolean {
  for (const [other, { source: otherSource }] of given) {
    if (other === option || !excludes(option, other)) {
      continue;
    }
    if (SOURCES.indexOf(otherSource) < SOURCES.indexOf(source)) {
      return true;
    }
    if (otherSource === source) {
      const names = `${settingKey(option)} and ${settingKey(other)}`;
      throw new SettingError(`${given.get(option)!.where}: ${names} exclude each other: remove one of them`);
    }
  }
  return false;
}

function excludes(one: Option, other: Option): boolean {
  const conflicts = (option: Option) => (option as unknown as { conflictsWith: string[] }).conflictsWith;
  return conflicts(one).includes(other.attributeName()) || conflicts(other).includes(one.attributeName());
}

/** Parses a value of the environment or the file in the same way as the command line. */
function read(option: Option, value: unknown, where: string): unknown {
  if (option.negate) {
    if (value === true || value === 'true' || value === 'yes' || value === '1') {
      return true;
    }
    if (value === false || value === 'false' || value === 'no' || value === '0') {
      return false;
    }
    throw new SettingError(`${where}: use true or false`);
  }
  const texts = (Array.isArray(value) ? value : [value]).map((entry) => {
    if (typeof entry === 'string' && entry !== '') {
      return entry;
    }
    if (typeof entry === 'boolean') {
      return String(entry);
    }
    const problem =
      entry === null || entry === '' ? 'it has no value: give a value, or remove it' : 'it is not a plain value';
    throw new SettingError(`${where}: ${problem}`);
  });
  if (texts.length === 0) {
    throw new SettingError(`${where}: the list is empty: give a value, or remove it`);
  }
  const parse = option.parseArg as ((text: string, before: unknown) => unknown) | undefined;
  let result: unknown;
  for (const text of texts) {
    try {
      result = parse === undefined ? text : parse(text, result);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) {
        throw error;
      }
      throw new SettingError(`${where}: "${text}" cannot be used: ${error.message}`);
    }
  }
  if (texts.length > 1 && !Array.isArray(result)) {
    throw new SettingError(`${where}: it takes one value, not a list`);
  }
  return result;
}

function environmentName(prefix: string, option: Option): string {
  return `${prefix}_${settingKey(option)
    .replace(/[A-Z]/g, (letter) => `_${letter}`)
    .toUpperCase()}`;
}
