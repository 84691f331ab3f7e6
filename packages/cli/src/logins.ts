/**
 * Logins of this user: for each controller the token that `mirrorplane login` got, in
 * `$XDG_CONFIG_HOME/mirrorplane/logins.json`, which nobody else can read.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CliError } from './exit.ts';
import { readPrivateFile } from './private-file.ts';

/** A login at one controller. */
export interface Login {
  token: string;
  /** Name of the token, and of its user. */
  name: string;
  user: string;
  /** ISO 8601. */
  expiresAt: string;
  /** How the controller was known then, and is known since. */
  fingerprint?: string | undefined;
  caFile?: string | undefined;
}

export interface Logins {
  /** URL of the last login: that of commands without one. */
  current?: string | undefined;
  /** By URL. */
  logins: Record<string, Login>;
}

/** The file of this user. Undefined: there is no home directory. */
function fileOf(env: NodeJS.ProcessEnv): string | undefined {
  const config = env.XDG_CONFIG_HOME || (env.HOME ? path.join(env.HOME, '.config') : undefined);
  return config === undefined ? undefined : path.join(config, 'mirrorplane', 'logins.json');
}

/** All logins. @throws CliError (denied) if others can read or write the file, or it is none of ours */
export function readLogins(env: NodeJS.ProcessEnv): Logins {
  const file = fileOf(env);
  if (file === undefined) {
    return { logins: {} };
  }
  let text: string;
  try {
    text = readPrivateFile(file);
  } catch (error) {
    if (error instanceof CliError) {
      throw error;
    }
    return { logins: {} };
  }
  try {
    const read = JSON.parse(text) as Logins;
    return { current: read.current, logins: { ...read.logins } };
  } catch (error) {
    throw new CliError('denied', `${file} cannot be read: remove it, and log in again`, { cause: error });
  }
}

/** Keeps logins. @throws CliError where there is no place for them */
export function writeLogins(env: NodeJS.ProcessEnv, logins: Logins): void {
  const file = fileOf(env);
  if (file === undefined) {
    throw new CliError('usage', 'there is no place for the login: set HOME or XDG_CONFIG_HOME');
  }
  const draft = `${file}.${process.pid}`;
  try {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(draft, `${JSON.stringify(logins, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw new CliError('unexpected', `${file} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}
