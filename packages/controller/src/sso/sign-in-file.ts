/** Reads the file of `--sign-in` and the files that it names. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createSecureContext } from 'node:tls';
import { readSecretFile, readYamlFile } from '@mirrorplane/daemon';
import { ProblemError, parseOrRefuse } from '../problems/problems.ts';
import { type LdapSettings, type OpenIdSettings, SignInSettings } from './sign-in-settings.ts';

/** A provider with the contents of its files. */
export interface OpenIdWay extends OpenIdSettings {
  clientSecret?: string;
  /** Certificates that are trusted in place of those of the system, as PEM. */
  ca?: string;
}

/** A directory with the contents of its files. */
export interface LdapWay extends LdapSettings {
  /** Password of `account`. */
  accountPassword?: string;
  /** Certificates that are trusted in place of those of the system, as PEM. */
  ca?: string;
}

export interface SignInFile {
  /** Origin of the console, as browsers have it. Absent without a provider of OpenID Connect. */
  address?: string;
  openid: OpenIdWay[];
  ldap: LdapWay[];
}

/**
 * Reads the file. Paths in it are relative to its folder.
 * @throws Error that names the file, each wrong field, and what to do
 */
export function readSignInFile(file: string): SignInFile {
  const { address, openid, ldap } = settingsOf(file);
  const at = (name: string) => path.resolve(path.dirname(file), name);
  const ca = (way: { caFile?: string | undefined }, field: string) =>
    way.caFile !== undefined && { ca: readCa(at(way.caFile), `${file}: ${field}.caFile`) };
  return {
    ...(address !== undefined && { address }),
    openid: openid.map((way, index) => ({
      ...way,
      ...ca(way, `openid[${index}]`),
      ...(way.clientSecretFile !== undefined && {
        clientSecret: readSecret(at(way.clientSecretFile), `${file}: openid[${index}].clientSecretFile`),
      }),
    })),
    ldap: ldap.map((way, index) => ({
      ...way,
      ...ca(way, `ldap[${index}]`),
      ...(way.account !== undefined && {
        accountPassword: readSecret(at(way.account.passwordFile), `${file}: ldap[${index}].account.passwordFile`),
      }),
    })),
  };
}

function settingsOf(file: string): SignInSettings {
  const { content } = readYamlFile(file, '--sign-in');
  try {
    return parseOrRefuse(SignInSettings, content ?? {}, 'file');
  } catch (error) {
    if (!(error instanceof ProblemError)) {
      throw error;
    }
    const { errors = [] } = error.problem;
    // The field of an unknown key is its path; its message names the key alone.
    const lines = errors.map(({ field, message }) =>
      message.startsWith(`"${field}"`) ? message : `${field}: ${message}`,
    );
    throw new Error(`${file}: ${lines.join('\n  ')}`);
  }
}

function readSecret(file: string, field: string): string {
  try {
    const secret = readSecretFile(file, 'a secret');
    if (secret === '') {
      throw new Error('it is empty: write the secret into it');
    }
    return secret;
  } catch (error) {
    throw new Error(`${field}: ${wordsOf(error, file)}`);
  }
}

function readCa(file: string, field: string): string {
  try {
    const ca = readFileSync(file, 'utf8');
    if (!ca.includes('-----BEGIN CERTIFICATE-----')) {
      throw new Error(`${file} has no certificate: use a file of certificates in PEM form`);
    }
    createSecureContext({ ca });
    return ca;
  } catch (error) {
    throw new Error(`${field}: ${wordsOf(error, file)}`);
  }
}

function wordsOf(error: unknown, file: string): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOENT':
      return `${file} does not exist: make it, or correct the path`;
    case 'EACCES':
      return `${file} cannot be read by the user of the controller: change its owner`;
    default:
      return message.includes(file) ? message : `${file}: ${message}`;
  }
}
