/**
 * Which options of a command are settings, their names in a file, and their description for man
 * pages.
 */
import type { Command, Option } from 'commander';

/** Options that are not settings: they name the settings file, or print something. */
const NO_SETTINGS = ['config', 'describeSettings', 'version', 'help', 'output'];

/**
 * Whether an option can be set in a file: it has a value, or switches something off. An option with
 * a short form, such as `-o, --output`, is for people at a terminal, and is not a setting.
 */
export function isSetting(option: Option): boolean {
  const sets = option.negate || option.required || option.optional;
  return sets && option.short === undefined && !NO_SETTINGS.includes(option.attributeName());
}

/**
 * The key of an option in a file: `mirrorDevice` for `--mirror-device`, `arrive` for `--no-arrive`.
 */
export function settingKey(option: Option): string {
  return option.attributeName();
}

/** One option of a daemon, for its man page and its file of settings. */
export interface SettingDescription {
  /** As in `--help`. */
  flags: string;
  description: string;
  /** Absent where the option is on the command line alone. */
  key?: string;
  /** Absent where there is none. */
  default?: string | number | boolean;
  choices?: string[];
  /** The command does not run without it. */
  mandatory: boolean;
}

/** A daemon, for its man page and its file of settings. */
export interface CommandDescription {
  name: string;
  description: string;
  /** Prefix of the names in the environment. */
  prefix: string;
  options: SettingDescription[];
}

/** The contents of `--help` as data. */
export function describeSettings(command: Command, prefix: string, mandatory: readonly Option[]): CommandDescription {
  const options = command.options
    .filter((option) => !option.hidden)
    .map((option) => ({
      flags: option.flags,
      description: option.description,
      ...(isSetting(option) && { key: settingKey(option) }),
      ...(option.defaultValue !== undefined && { default: option.defaultValue }),
      // An option that can be switched off is on by default.
      ...(option.negate && { default: true }),
      ...(option.argChoices && { choices: option.argChoices }),
      mandatory: mandatory.includes(option),
    }));
  return { name: command.name(), description: command.description(), prefix, options };
}
