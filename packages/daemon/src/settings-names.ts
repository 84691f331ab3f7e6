/** Which options of a command are settings, what they are called in a file, and all about them for man pages. */
import type { Command, Option } from 'commander';

/** Options that say where settings are, or print something. */
const NO_SETTINGS = ['config', 'describeSettings', 'version', 'help', 'output'];

/**
 * Whether an option can be set in a file: it has a value, or switches something off. One with a short form, as
 * `-o, --output`, is about what a person at a terminal wants to see.
 */
export function isSetting(option: Option): boolean {
  const sets = option.negate || option.required || option.optional;
  return sets && option.short === undefined && !NO_SETTINGS.includes(option.attributeName());
}

/** The key of an option in a file: `mirrorDevice` for `--mirror-device`, `arrive` for `--no-arrive`. */
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
  /** What the names in the environment begin with. */
  prefix: string;
  options: SettingDescription[];
}

/** Everything that `--help` says, as data. */
export function describeSettings(command: Command, prefix: string, mandatory: readonly Option[]): CommandDescription {
  const options = command.options
    .filter((option) => !option.hidden)
    .map((option) => ({
      flags: option.flags,
      description: option.description,
      ...(isSetting(option) && { key: settingKey(option) }),
      ...(option.defaultValue !== undefined && { default: option.defaultValue }),
      // What can be switched off is on.
      ...(option.negate && { default: true }),
      ...(option.argChoices && { choices: option.argChoices }),
      mandatory: mandatory.includes(option),
    }));
  return { name: command.name(), description: command.description(), prefix, options };
}
