/** All about people in a running controller: who they are, and what ends when they change. */
import type { Logger } from '@mirrorplane/daemon';
import type { Sessions } from '../auth/sessions.ts';
import type { ProvenPerson } from '../sso/proven-person.ts';
import type { Decisions } from '../store/decisions.ts';
import type { FileCopies } from '../store/file-copies.ts';
import type { View } from '../store/view.ts';
import { Attempts } from './attempts.ts';
import { Credentials } from './credentials.ts';
import { DeviceLogins } from './device-logins.ts';
import type { FileTokens } from './file-tokens.ts';
import { FirstPassword } from './first-password.ts';
import { HashLanes } from './hash-lanes.ts';
import { OpenThings } from './open-things.ts';
import { TokenUses } from './token-uses.ts';
import { TotpBegins } from './totp-begins.ts';

/** Milliseconds between two looks for tokens that have expired. */
const SWEEP_MS = 5000;

export interface PeopleOptions {
  data: string;
  view: View;
  decisions: Decisions;
  files: FileTokens;
  /** Ends looks of those who may not look any more. */
  endLooks: () => void;
  /** Makes the sessions of browsers. */
  sessions: (credentials: Credentials) => Sessions;
  /** Milliseconds since 1970. */
  clock: () => number;
  /** The same for what ends: it never goes back. */
  endClock: () => number;
  log: Logger;
  /** Keeps the first password for other controllers. */
  copies?: FileCopies | undefined;
}

/** Systems that know people by their passwords. */
export interface Elsewhere {
  /** What names of users that come from there begin with: `WAY:`. */
  readonly prefixes: readonly string[];
  /**
   * Asks for a person with this password. Undefined: there is none. It may throw a ProblemError that
   * the person is told.
   */
  proveByPassword(name: string, password: string): Promise<ProvenPerson | undefined>;
}

export class People {
  readonly credentials: Credentials;
  readonly sessions: Sessions;
  readonly files: FileTokens;
  readonly attempts = new Attempts();
  readonly lanes = new HashLanes();
  readonly open = new OpenThings();
  readonly uses: TokenUses;
  readonly firstPassword: FirstPassword;
  readonly totpBegins: TotpBegins;
  readonly devices: DeviceLogins;
  readonly view: View;
  readonly decisions: Decisions;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly #endLooks: PeopleOptions['endLooks'];
  readonly #sweep: NodeJS.Timeout;
  #elsewhere: Elsewhere | undefined;

  constructor({ data, view, decisions, files, endLooks, sessions, clock, endClock, log, copies }: PeopleOptions) {
    this.credentials = new Credentials({ view, files, clock: endClock });
    this.sessions = sessions(this.credentials);
    this.files = files;
    this.uses = new TokenUses({ view, decisions, clock, log });
    this.firstPassword = new FirstPassword(data, copies);
    this.totpBegins = new TotpBegins(clock);
    this.devices = new DeviceLogins(clock);
    this.view = view;
    this.decisions = decisions;
    this.clock = clock;
    this.#endLooks = endLooks;
    this.#sweep = setInterval(() => this.#endOpen(), SWEEP_MS).unref();
  }

  /**
   * Ends sessions, and what is open on behalf of them or of tokens, where their owner is not valid
   * any more, and looks of those who may not look any more. To be called after each change of a
   * user or a token, when the view has it.
   */
  async endInvalid(): Promise<void> {
    this.#endOpen();
    this.#endLooks();
    await this.sessions.endInvalid();
  }

  /**
   * Carries out a change of a user, and ends what it ends.
   * @returns what `change` returns
   */
  async changing<T>(user: string, change: () => Promise<T>): Promise<T> {
    const stamp = () => this.view.get('users', user)?.value.stamp;
    const before = stamp();
    const result = await change();
    if (stamp() !== before) {
      await this.endInvalid();
    }
    return result;
  }

  /** Where else to ask for people whom no local user has the name of. */
  askElsewhere(elsewhere: Elsewhere): void {
    this.#elsewhere = elsewhere;
  }

  /** A person whom another system knows by this password. @throws ProblemError */
  async elsewhere(name: string, password: string): Promise<ProvenPerson | undefined> {
    return this.#elsewhere?.proveByPassword(name, password);
  }

  /** Whether a user has signed in from this origin before, also by another system. */
  isKnown(user: string, origin: string): boolean {
    const names = [user, ...(this.#elsewhere?.prefixes ?? []).map((prefix) => prefix + user)];
    return names.some((name) => this.view.get('signIns', name)?.value.origins.includes(origin));
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep);
    await this.uses.close();
    await this.sessions.close();
  }

  #endOpen(): void {
    this.open.endInvalid((owner) => this.credentials.byOwner(owner) !== undefined);
  }
}
