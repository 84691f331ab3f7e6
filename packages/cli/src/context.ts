/** The context of every command: client, output format, and where to print. */
import { type Command, Option } from 'commander';
import { Client, type TokenSource } from './client.ts';
import { FORMATS, type Format } from './output/format.ts';
import { harmless } from './output/terminal.ts';

export const DEFAULT_URL = 'http://127.0.0.1:7070';
export const DEFAULT_TOKEN_FILE = '/var/lib/mirrorplane/admin-token';

export interface Context {
  client: Client;
  url: string;
  format: Format;
  color: boolean;
  /** Whether tables have more columns. */
  wide: boolean;
  /** True where stdout is a terminal. */
  terminal: boolean;
  print(text: string): void;
  /** Prints on stderr. */
  note(text: string): void;
}

interface GlobalOptions {
  url?: string;
  tokenFile?: string;
  output: Format;
  color: boolean;
}

/** Adds the options that every command takes. */
export function addGlobalOptions(program: Command): Command {
  return program
    .addOption(
      new Option(
        '--url <url>',
        `controller: http://HOST:PORT or unix:/PATH (env: MIRRORPLANE_URL, default: ${DEFAULT_URL})`,
      ),
    )
    .addOption(
      new Option(
        '--token-file <file>',
        `file with the API token (env: MIRRORPLANE_TOKEN_FILE, default: ${DEFAULT_TOKEN_FILE}); ` +
          'MIRRORPLANE_TOKEN holds the token itself',
      ),
    )
    .addOption(
      new Option(
        '-o, --output <format>',
        'output format; wide: a table with more columns; name: only names, one per line',
      )
        .choices(FORMATS)
        .default('table'),
    )
    .addOption(new Option('--no-color', 'do not use colours (also: NO_COLOR)'));
}

/**
 * The context of a command that runs.
 * @param timeout milliseconds for a request. Default: that of the client
 * @throws CliError (usage) where the URL is not one
 */
export function contextOf(command: Command, env: NodeJS.ProcessEnv = process.env, timeout?: number): Context {
  const options = command.optsWithGlobals<GlobalOptions>();
  const url = options.url ?? (env.MIRRORPLANE_URL || DEFAULT_URL);
  const terminal = process.stdout.isTTY === true;
  return {
    client: new Client({ url, token: tokenSource(options.tokenFile, env), ...(timeout !== undefined && { timeout }) }),
    url,
    format: options.output,
    wide: options.output === 'wide',
    color: options.color && terminal && !env.NO_COLOR && env.TERM !== 'dumb',
    terminal,
    print: (text) => void process.stdout.write(harmless(text)),
    note: (text) => void process.stderr.write(harmless(text)),
  };
}

function tokenSource(file: string | undefined, env: NodeJS.ProcessEnv): TokenSource {
  if (file !== undefined) {
    return { kind: 'file', path: file, optional: false };
  }
  if (env.MIRRORPLANE_TOKEN) {
    return { kind: 'text', token: env.MIRRORPLANE_TOKEN.trim() };
  }
  if (env.MIRRORPLANE_TOKEN_FILE) {
    return { kind: 'file', path: env.MIRRORPLANE_TOKEN_FILE, optional: false };
  }
  return { kind: 'file', path: DEFAULT_TOKEN_FILE, optional: true };
}
