/** The context of every command: client, output format, and where to print. */
import path from 'node:path';
import { type Command, Option } from 'commander';
import type { Client, TokenSource } from './client.ts';
import { CliError } from './exit.ts';
import { type Login, readLogins } from './logins.ts';
import { FORMATS, type Format } from './output/format.ts';
import { harmless } from './output/terminal.ts';
import { clientOf, urlsOf } from './several.ts';
import type { Trust } from './trust.ts';

export const DEFAULT_URL = 'http://127.0.0.1:7070';
export const DEFAULT_TOKEN_FILE = '/var/lib/mirrorplane/admin-token';

export interface Context {
  client: Client;
  /** The first one of `urls`. */
  url: string;
  /** Of the controllers that are asked in turn. */
  urls: string[];
  trust: Trust;
  /** What `mirrorplane login` has kept for this controller. */
  login: Login | undefined;
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
  insecureHttp?: boolean;
  fingerprint?: string;
  caFile?: string;
  output: Format;
  color: boolean;
}

/** Adds the options that every command takes. */
export function addGlobalOptions(program: Command): Command {
  return program
    .addOption(
      new Option(
        '--url <url>',
        `controller: https://HOST:PORT, http://HOST:PORT or unix:/PATH; several of one cluster with commas between them, which are asked in turn (env: MIRRORPLANE_URL, default: that of the last "mirrorplane login", or ${DEFAULT_URL})`,
      ),
    )
    .addOption(
      new Option(
        '--fingerprint <sha256>',
        'SHA-256 of the authority of the controller, as its log has it at the start (env: MIRRORPLANE_FINGERPRINT)',
      ),
    )
    .addOption(
      new Option(
        '--ca-file <file>',
        'authorities that may have signed the certificate of the controller, PEM (env: MIRRORPLANE_CA_FILE, default: those of this host)',
      ),
    )
    .addOption(
      new Option(
        '--token-file <file>',
        `file with the API token (env: MIRRORPLANE_TOKEN_FILE, default: the token of "mirrorplane login", or for this host ${DEFAULT_TOKEN_FILE}); ` +
          'MIRRORPLANE_TOKEN holds the token itself; with MIRRORPLANE_URL both are for that controller alone',
      ),
    )
    .addOption(
      new Option(
        '--insecure-http',
        'use http:// to a controller on another host: tokens and packets can be read on the way (env: MIRRORPLANE_INSECURE_HTTP=yes)',
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
  const { current, logins } = readLogins(env);
  const urls = urlsOf(options.url ?? (env.MIRRORPLANE_URL || current || DEFAULT_URL));
  const url = urls[0]!;
  const terminal = process.stdout.isTTY === true;
  const note = (text: string) => void process.stderr.write(harmless(text));
  const clients = urls.map((one) => ({
    ...clientOptions(one, { options, env, login: logins[one], note }),
    ...(timeout !== undefined && { timeout }),
  }));
  return {
    client: clientOf(clients),
    url,
    urls,
    trust: clients[0]!.trust,
    login: logins[url],
    format: options.output,
    wide: options.output === 'wide',
    color: options.color && terminal && !env.NO_COLOR && env.TERM !== 'dumb',
    terminal,
    print: (text) => void process.stdout.write(harmless(text)),
    note,
  };
}

interface ClientParts {
  options: GlobalOptions;
  env: NodeJS.ProcessEnv;
  login: Login | undefined;
  note: (text: string) => void;
}

/** What a controller is known by, and which token it gets. @throws CliError (usage) */
function clientOptions(url: string, { options, env, login, note }: ClientParts) {
  const trust = trustOf(options, env, login);
  if (isPlain(url)) {
    requireInsecure(url, trust, options.insecureHttp || env.MIRRORPLANE_INSECURE_HTTP === 'yes');
    note(`warning: the connection to ${url} is not encrypted: the token can be read on the way\n`);
  }
  const own = envFor(url, env);
  if (own !== env && options.tokenFile === undefined && !login) {
    note(
      `warning: the token of the environment is for ${env.MIRRORPLANE_URL}: ${url} does not get it. --token-file names another\n`,
    );
  }
  return { url, token: tokenSource(url, options.tokenFile, own, login), trust };
}

/**
 * Nothing is sent where others can read it, unless that is wanted.
 * @throws CliError (usage)
 */
function requireInsecure(url: string, trust: Trust, isAllowed: boolean): void {
  if (trust.fingerprint !== undefined) {
    throw new CliError('usage', `${url} shows no certificate, so a fingerprint says nothing: use https://`);
  }
  if (!isAllowed) {
    throw new CliError(
      'usage',
      `${url} is not encrypted: others could read the token on the way. Use https://, or --insecure-http if the network is safe`,
    );
  }
}

/**
 * The environment without its token, where it names another controller: a token that stands beside
 * a URL is for that one. The same environment: all of it is for `url`.
 */
export function envFor(url: string, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const hasToken = Boolean(env.MIRRORPLANE_TOKEN || env.MIRRORPLANE_TOKEN_FILE);
  const isOther = Boolean(env.MIRRORPLANE_URL) && !urlsOf(env.MIRRORPLANE_URL!).includes(url);
  return hasToken && isOther ? { ...env, MIRRORPLANE_TOKEN: undefined, MIRRORPLANE_TOKEN_FILE: undefined } : env;
}

/** How the controller is known, by the options and the environment. */
function trustOf({ fingerprint, caFile }: GlobalOptions, env: NodeJS.ProcessEnv, login: Login | undefined): Trust {
  const given = {
    fingerprint: fingerprint ?? (env.MIRRORPLANE_FINGERPRINT || undefined),
    caFile: absolute(caFile ?? (env.MIRRORPLANE_CA_FILE || undefined)),
  };
  const isGiven = given.fingerprint !== undefined || given.caFile !== undefined;
  return isGiven || !login ? given : { fingerprint: login.fingerprint, caFile: login.caFile };
}

/** The path of a file in each directory: `mirrorplane login` keeps it. */
function absolute(file: string | undefined): string | undefined {
  return file === undefined ? undefined : path.resolve(file);
}

/** Whether what is sent to the controller can be read on the way. */
function isPlain(url: string): boolean {
  const { protocol, hostname } = URL.canParse(url) ? new URL(url) : {};
  return protocol === 'http:' && !isLoopback(hostname!);
}

/** Whether a controller at this URL runs on this host: its own token may be sent there. */
function isHere(url: string): boolean {
  return url.startsWith('unix:') || (URL.canParse(url) && isLoopback(new URL(url).hostname));
}

/** @param host of a URL, which has each IPv4 address in four decimal parts */
function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(host);
}

/** Where the token for the controller at `url` comes from. That of this host is for controllers here alone. */
export function tokenSource(
  url: string,
  file: string | undefined,
  env: NodeJS.ProcessEnv,
  login: Login | undefined,
): TokenSource {
  if (file !== undefined) {
    return { kind: 'file', path: file, optional: false };
  }
  if (env.MIRRORPLANE_TOKEN) {
    return { kind: 'text', token: env.MIRRORPLANE_TOKEN.trim() };
  }
  if (env.MIRRORPLANE_TOKEN_FILE) {
    return { kind: 'file', path: env.MIRRORPLANE_TOKEN_FILE, optional: false };
  }
  if (login) {
    return { kind: 'login', token: login.token };
  }
  return isHere(url) ? { kind: 'file', path: DEFAULT_TOKEN_FILE, optional: true } : { kind: 'none' };
}
