/** All ways to sign in that the file of `--sign-in` names. */
import type { Logger } from '@mirrorplane/daemon';
import { Callbacks } from './callbacks.ts';
import type { LdapDirectory } from './ldap-directory.ts';
import type { OpenIdProvider } from './openid-provider.ts';
import type { ProvenPerson } from './proven-person.ts';
import { SignInRefused } from './refused.ts';
import { Sealer } from './sealed.ts';
import type { SignInFile } from './sign-in-file.ts';

/** Path of the routes for sign-ins. The cookie of a sign-in is sent below it only. */
export const SIGN_IN_PATH = '/api/v1/sign-in';

export interface SignInWaysOptions {
  file: SignInFile;
  log: Logger;
  /** Milliseconds since 1970. */
  clock: () => number;
}

export class SignInWays {
  /** By name, in the order of the file. */
  readonly providers: ReadonlyMap<string, OpenIdProvider>;
  readonly directories: readonly LdapDirectory[];
  /** Seals what a browser keeps while its person is at a provider. */
  readonly sealer: Sealer;
  /** Bounds of requests that come back from providers. */
  readonly callbacks = new Callbacks();
  /** Origin of the console, as browsers have it. Undefined without a provider. */
  readonly address: string | undefined;

  private constructor(
    { file: { address }, clock }: SignInWaysOptions,
    providers: readonly OpenIdProvider[],
    directories: readonly LdapDirectory[],
  ) {
    this.address = address;
    this.sealer = new Sealer(clock);
    this.providers = new Map(providers.map((provider) => [provider.way.name, provider]));
    this.directories = directories;
  }

  /** Loads only what the file has a use for: most controllers have no such file. */
  static async open(options: SignInWaysOptions): Promise<SignInWays> {
    return new SignInWays(options, await openProviders(options), await openDirectories(options));
  }

  /** What names of users of the directories begin with. */
  get prefixes(): string[] {
    return this.directories.map(({ way }) => `${way.name}:`);
  }

  /**
   * Proves a person by a password of a directory. Directories are asked in order, or only the one
   * that `WAY:NAME` names. Undefined: none of them knows the person by this password.
   * @throws SignInRefused SIGN_IN_REFUSED or SIGN_IN_AWAY
   */
  async proveByPassword(user: string, password: string): Promise<ProvenPerson | undefined> {
    const [, way, name = user] = /^([^:]*):(.*)$/s.exec(user) ?? [];
    let away: SignInRefused | undefined;
    for (const directory of this.directories.filter((one) => way === undefined || one.way.name === way)) {
      try {
        return await directory.prove(name, password);
      } catch (error) {
        if (!(error instanceof SignInRefused) || error.code === 'SIGN_IN_REFUSED') {
          throw error;
        }
        // A directory that does not answer might know the person.
        away = error.code === 'SIGN_IN_AWAY' ? error : away;
      }
    }
    if (away !== undefined) {
      throw away;
    }
    return undefined;
  }
}

async function openProviders({ file: { address, openid }, clock }: SignInWaysOptions): Promise<OpenIdProvider[]> {
  if (openid.length === 0) {
    return [];
  }
  const { OpenIdProvider } = await import('./openid-provider.ts');
  return openid.map((way) => {
    const redirectUri = `${address}${SIGN_IN_PATH}/${way.name}/callback`;
    return new OpenIdProvider(way, { redirectUri, afterSignOut: `${address}/`, clock });
  });
}

async function openDirectories({ file: { ldap }, log }: SignInWaysOptions): Promise<LdapDirectory[]> {
  if (ldap.length === 0) {
    return [];
  }
  const { LdapDirectory } = await import('./ldap-directory.ts');
  return ldap.map((way) => {
    const failed = (server: string, reason: string) =>
      log.warn({ directory: way.name, server, reason }, 'server of a directory not used');
    return new LdapDirectory(way, { failed });
  });
}
