/** Man pages, generated from the descriptions of the commands. */
import { commandsOf, type DescribedCommand } from '@mirrorplane/cli/describe';
import { EXIT_CODES } from '@mirrorplane/cli/exit';
import type { CommandDescription, SettingDescription } from '@mirrorplane/daemon/settings-names';

/** Contents of the pages, apart from a command. */
export interface PageOptions {
  version: string;
  /** Seconds since 1970. */
  epoch: number;
}

/** mirrorplane-agent(8) or mirrorplane-controller(8). */
export function daemonPage(command: CommandDescription, { version, epoch }: PageOptions): string {
  const name = command.name.replace(' ', '-');
  const part = name.replace('mirrorplane-', '');
  const settings = command.options.filter(({ key }) => key !== undefined);
  const environment = settings.map(({ key }) => key!.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase());
  return [
    title(name, 8, version, epoch),
    section('NAME'),
    `${text(name)} \\- ${text(`the ${part} of Mirrorplane`)}`,
    section('SYNOPSIS'),
    `\\fB${text(name)}\\fR [options]`,
    section('DESCRIPTION'),
    text(command.description),
    section('OPTIONS'),
    ...command.options.map(optionEntry),
    section('FILES'),
    entry(`/etc/mirrorplane/${part}.yaml`, 'Settings, for the service. Keys:'),
    '.br',
    ...settings.map(({ key, flags }) => `${text(key!)} (${text(flags)})\n.br`),
    section('ENVIRONMENT'),
    text(
      'A setting may also be in the environment. The command line comes first, the environment second, the file last.',
    ),
    '.PP',
    ...environment.map((word) => `${text(`${command.prefix}_${word}`)}\n.br`),
    section('SEE ALSO'),
    `\\fBmirrorplane\\fR(1), \\fBjournalctl \\-u ${text(name)}\\fR`,
    '',
  ].join('\n');
}

/** mirrorplane(1): every command with its options, and every exit code. */
export function commandPage({ version, epoch }: PageOptions): string {
  const { description, options, commands } = commandsOf();
  return [
    title('mirrorplane', 1, version, epoch),
    section('NAME'),
    'mirrorplane \\- mirror network traffic across a cluster of Linux hosts',
    section('SYNOPSIS'),
    '\\fBmirrorplane\\fR [options] \\fIcommand\\fR',
    section('DESCRIPTION'),
    text(description),
    section('OPTIONS OF EVERY COMMAND'),
    ...options.map(optionEntry),
    section('COMMANDS'),
    ...commands.flatMap(commandEntry),
    section('EXIT CODES'),
    ...Object.values(EXIT_CODES).map(({ code, meaning }) => entry(String(code), meaning)),
    section('SEE ALSO'),
    '\\fBmirrorplane\\-agent\\fR(8), \\fBmirrorplane\\-controller\\fR(8)',
    '',
  ].join('\n');
}

function commandEntry({ usage, description, options }: DescribedCommand): string[] {
  return [`.SS ${text(usage)}`, text(description), ...options.map(optionEntry)];
}

function optionEntry({
  flags,
  description,
  choices,
  default: standard,
}: Omit<SettingDescription, 'mandatory'>): string {
  const details = [
    description,
    choices && `one of: ${choices.join(', ')}`,
    standard !== undefined && typeof standard !== 'boolean' && `default: ${standard}`,
  ];
  return entry(flags, details.filter(Boolean).join('; '));
}

function title(name: string, number: number, version: string, epoch: number): string {
  const date = new Date(epoch * 1000).toISOString().slice(0, 10);
  return `.TH ${name.toUpperCase().replaceAll('-', '\\-')} ${number} ${date} "Mirrorplane ${version}"`;
}

function section(name: string): string {
  return `.SH ${name}`;
}

function entry(term: string, meaning: string): string {
  return `.TP\n\\fB${text(term)}\\fR\n${text(meaning)}`;
}

/** Text with escaped roff characters. */
function text(plain: string): string {
  const escaped = plain.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('…', '...').replaceAll('’', "'");
  return escaped.replace(/^([.'])/gm, '\\&$1');
}
