/**
 * A directory that is asked by LDAP whether a password is right, and which groups a person has (RFC
 * 4511, RFC 4513).
 */
import { type Client, type Entry, InvalidCredentialsError, ResultCodeError } from 'ldapts';
import { grantsOf, MAX_GROUPS_OF_PERSON } from './group-grants.ts';
import { withLdap } from './ldap-connection.ts';
import { escapeInDn, escapeInFilter, fill } from './ldap-escape.ts';
import { displayName, type ProvenPerson, requireGrants, userName } from './proven-person.ts';
import { refused, SignInRefused } from './refused.ts';
import type { LdapWay } from './sign-in-file.ts';

/** People whose passwords are being checked at a time. */
const MAX_AT_A_TIME = 16;
/** Milliseconds that a server that failed is asked last. */
const AVOIDED_MS = 60_000;
/** The longest name that is looked for, in characters. */
const MAX_NAME = 256;
/**
 * Attributes that stay the same when a person is renamed: of OpenLDAP and others (RFC 4530), of
 * FreeIPA, of Active Directory. The first of them that an entry has is used, else its name.
 */
const IDS = ['entryUUID', 'ipaUniqueID', 'objectGUID'];

/**
 * Results of a bind that are about the person, and not about the server: constraintViolation,
 * noSuchObject, invalidDNSyntax, inappropriateAuthentication, invalidCredentials,
 * insufficientAccessRights, unwillingToPerform (RFC 4511, section 4.1.9). Servers give them for
 * locked accounts too.
 */
const NOT_SIGNED_IN = [19, 32, 34, 48, 49, 50, 53];

export interface LdapDirectoryOptions {
  /** Called with why a server could not be asked. */
  failed: (server: string, reason: string) => void;
}

export class LdapDirectory {
  readonly way: LdapWay;
  readonly #options: LdapDirectoryOptions;
  /** Servers that failed, and until when they are asked last. */
  readonly #avoided = new Map<string, number>();
  #running = 0;

  constructor(way: LdapWay, options: LdapDirectoryOptions) {
    this.way = way;
    this.#options = options;
  }

  /**
   * Proves a person by name and password.
   * @throws SignInRefused UNAUTHENTICATED: there is no such person, or the password is wrong
   */
  async prove(name: string, password: string): Promise<ProvenPerson> {
    // With an empty password, a server confirms that nobody has signed in (RFC 4513, section 5.1.2).
    // Some servers end a password at the first NUL.
    if (name === '' || name.length > MAX_NAME || password === '' || password.includes('\0')) {
      throw wrong('the name or the password is empty or cannot be right');
    }
    if (this.#running >= MAX_AT_A_TIME) {
      throw refused('SIGN_IN_AWAY', `${this.way.title} is asked for many people at the moment: try again`);
    }
    this.#running++;
    try {
      return await this.#proveAnywhere(name, password);
    } finally {
      this.#running--;
    }
  }

  /** Asks the servers in order, until one answers. */
  async #proveAnywhere(name: string, password: string): Promise<ProvenPerson> {
    const { servers, startTls, ca, timeoutSeconds, title } = this.way;
    for (const url of this.#inOrder(servers)) {
      const target = { url, startTls: startTls && url.startsWith('ldap:'), ca, timeoutMs: timeoutSeconds * 1000 };
      try {
        return await withLdap(target, (client) => this.#proveBy(client, name, password));
      } catch (error) {
        if (error instanceof SignInRefused) {
          throw error;
        }
        this.#avoided.set(url, performance.now() + AVOIDED_MS);
        this.#options.failed(url, (error as Error).message);
      }
    }
    throw refused('SIGN_IN_AWAY', `${title} does not answer: try again later, or sign in with a local account`);
  }

  #inOrder(servers: readonly string[]): string[] {
    const isAvoided = (url: string) => performance.now() < (this.#avoided.get(url) ?? 0);
    return [...servers.filter((url) => !isAvoided(url)), ...servers.filter(isAvoided)];
  }

  async #proveBy(client: Client, name: string, password: string): Promise<ProvenPerson> {
    const { userDn, users } = this.way;
    const found = users && (await this.#find(client, users, name));
    const dn = found?.dn ?? fill(userDn!, '{user}', escapeInDn(name));
    await bindAs(client, dn, password);
    // Who has signed in may read the own entry, and the account may read all entries.
    const entry = found ?? (await this.#own(client, dn));
    if (this.way.account !== undefined) {
      await this.#bindAccount(client);
    }
    const groups = await this.#groupsOf(client, entry);
    const { name: way, title, grants, nameAttribute } = this.way;
    const person: ProvenPerson = {
      name: userName(way, valuesOf(entry, nameAttribute)[0], title),
      ...displayName(valuesOf(entry, 'displayName')[0]),
      source: 'ldap',
      subject: subjectOf(entry),
      grants: grantsOf(groups, grants, (group) => group.toLowerCase()),
    };
    return requireGrants(person, title, groups);
  }

  async #bindAccount(client: Client): Promise<void> {
    const { account, accountPassword, title } = this.way;
    try {
      await client.bind(account!.dn, accountPassword);
    } catch (error) {
      if (!(error instanceof InvalidCredentialsError)) {
        throw error;
      }
      const detail = `${title} does not let this controller search: an administrator has to check "account" in the file of --sign-in`;
      throw refused('SIGN_IN_AWAY', detail, `bind of the account: ${error.message}`);
    }
  }

  /** The one entry with this name. @throws SignInRefused if there is none, or more than one */
  async #find(client: Client, users: NonNullable<LdapWay['users']>, name: string): Promise<Entry> {
    if (this.way.account !== undefined) {
      await this.#bindAccount(client);
    }
    const filter = fill(users.filter, '{user}', escapeInFilter(name));
    const { searchEntries } = await client.search(users.base, { ...this.#asked(), scope: 'sub', filter, sizeLimit: 2 });
    const [entry] = searchEntries;
    if (entry === undefined || entry.dn === '') {
      throw wrong(`${this.way.title} has no such person`);
    }
    if (searchEntries.length > 1) {
      throw wrong(`${this.way.title} has more than one person of this name`);
    }
    return entry;
  }

  async #own(client: Client, dn: string): Promise<Entry> {
    const { searchEntries } = await client.search(dn, { ...this.#asked(), scope: 'base', sizeLimit: 1 });
    const [entry] = searchEntries;
    if (entry === undefined) {
      throw refused(
        'SIGN_IN_REFUSED',
        `${this.way.title} does not show your entry: an administrator has to let you read it`,
      );
    }
    return entry;
  }

  /** What is asked of a person's entry. */
  #asked() {
    const { groups, nameAttribute, timeoutSeconds } = this.way;
    return {
      attributes: [nameAttribute, 'displayName', ...IDS, ...('attribute' in groups ? [groups.attribute] : [])],
      explicitBufferAttributes: ['objectGUID'],
      timeLimit: timeoutSeconds,
    };
  }

  async #groupsOf(client: Client, entry: Entry): Promise<string[]> {
    const { groups, timeoutSeconds } = this.way;
    if ('attribute' in groups) {
      return valuesOf(entry, groups.attribute);
    }
    const filter = fill(groups.filter, '{dn}', escapeInFilter(entry.dn));
    const { searchEntries } = await client.search(groups.base, {
      scope: 'sub',
      filter,
      attributes: [groups.nameAttribute],
      sizeLimit: MAX_GROUPS_OF_PERSON,
      timeLimit: timeoutSeconds,
    });
    return searchEntries.flatMap((group) => valuesOf(group, groups.nameAttribute));
  }
}

async function bindAs(client: Client, dn: string, password: string): Promise<void> {
  try {
    await client.bind(dn, password);
  } catch (error) {
    const isWrong = error instanceof ResultCodeError && NOT_SIGNED_IN.includes(error.code);
    throw isWrong ? wrong(error.message) : error;
  }
}

/** The same words for each reason: a stranger does not learn who is in the directory. */
function wrong(reason: string): SignInRefused {
  return refused('UNAUTHENTICATED', 'the name or the password is wrong: check them, and try again', reason);
}

/** Names of attributes are compared without their case (RFC 4512, section 2.5). */
function valuesOf(entry: Entry, attribute: string): string[] {
  const key = Object.keys(entry).find((name) => name.toLowerCase() === attribute.toLowerCase());
  const value = attribute.toLowerCase() === 'dn' ? entry.dn : key === undefined ? [] : entry[key]!;
  return [value].flat().map((one) => (typeof one === 'string' ? one : one.toString('hex')));
}

function subjectOf(entry: Entry): string {
  return IDS.flatMap((id) => valuesOf(entry, id))[0] ?? entry.dn.toLowerCase();
}
