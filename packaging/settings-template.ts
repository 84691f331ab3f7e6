/** The settings file of a package: every option of the daemon, commented out, with its default. */
import type { CommandDescription } from '@mirrorplane/daemon/settings-names';

const WIDTH = 100;

/**
 * The text of such a file.
 * @param values active settings of the package, by key; all others are comments
 */
export function settingsTemplate(command: CommandDescription, values: Record<string, string>): string {
  const settings = command.options.filter(({ key }) => key !== undefined);
  const blocks = settings.map(({ key, flags, description, choices, default: standard }) => {
    const off = flags.startsWith('--no-') ? 'false: ' : '';
    const said = [`${off}${description}`, choices && `one of: ${choices.join(', ')}`].filter(Boolean).join('; ');
    const value = values[key!];
    const example = standard ?? /<(.*)>/.exec(flags)?.[1]?.toUpperCase() ?? '';
    const line = value === undefined ? `#${key}: ${example}` : `${key}: ${value}`;
    return [...wrap(`${said}.`), line].join('\n');
  });
  const head = wrap(
    `Settings of "${command.name}". What is commented out shows the default, or what kind of value it takes in capitals. ` +
      `Each setting can also be given in the environment, as ${command.prefix}_LOG_LEVEL, and on the command line, as ` +
      '--log-level: the command line comes first, the environment second, this file last. Restart the service after a change.',
  );
  return `${[head.join('\n'), ...blocks].join('\n\n')}\n`;
}

/** Lines of a comment. */
function wrap(text: string): string[] {
  const lines = ['#'];
  for (const word of text.split(' ')) {
    if (`${lines.at(-1)} ${word}`.length > WIDTH) {
      lines.push('#');
    }
    lines[lines.length - 1] += ` ${word}`;
  }
  return lines;
}
