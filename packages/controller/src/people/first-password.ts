/**
 * The password of the first administrator: in DATA/first-password until somebody has signed in with
 * it.
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { replaceFileSync, syncFolder } from '@mirrorplane/base';
import { CONTROLLER_ACTOR } from '../audit/actors.ts';
import type { AuditLog } from '../audit/audit.ts';
import type { Decisions } from '../store/decisions.ts';
import type { FileCopies } from '../store/file-copies.ts';
import type { UserRecord } from '../store/records.ts';
import type { View } from '../store/view.ts';
import { hashPassword } from './argon2.ts';
import { newPassword } from './generated.ts';
import { newStamp, withNewStamp } from './records.ts';

/** Name of the first user. */
export const FIRST_USER = 'admin';

const NAME = 'first-password';

export class FirstPassword {
  readonly #data: string;
  readonly #copies: FileCopies | undefined;

  /** @param copies has the password first, for other controllers */
  constructor(data: string, copies?: FileCopies) {
    this.#data = data;
    this.#copies = copies;
  }

  get file(): string {
    return path.join(this.#data, NAME);
  }

  /** Keeps the password, readable by the owner of the folder alone. */
  async keep(password: string): Promise<void> {
    await this.#copies?.write({ [NAME]: `${password}\n` });
    replaceFileSync(this.file, `${password}\n`);
  }

  /**
   * This user has signed in, or has another password: the file is not needed any more.
   * @throws what the store throws: it may still be there
   */
  async usedBy(user: string): Promise<void> {
    if (user === FIRST_USER) {
      await this.#copies?.write({ [NAME]: undefined });
      rmSync(this.file, { force: true });
      syncFolder(this.#data);
    }
  }
}

interface Parts {
  view: View;
  decisions: Decisions;
  /** Milliseconds since 1970. */
  clock: () => number;
  audit: AuditLog;
  firstPassword: FirstPassword;
}

/**
 * Makes the first administrator where there is no user at all. The password has to be changed when
 * it was used, because it has been on a screen and in a file.
 * @returns the password; undefined: there are users
 */
export async function makeFirstUser(parts: Parts): Promise<string | undefined> {
  return parts.view.all('users').size > 0 ? undefined : giveFirstPassword(parts, 'create');
}

/**
 * Makes the first administrator again, or gives it a new password, for who has lost it: enabled,
 * without an authenticator app, and with all rights. Its sessions and tokens end.
 * @returns the password
 */
export function resetFirstUser(parts: Parts): Promise<string> {
  return giveFirstPassword(parts, 'password');
}

async function giveFirstPassword(parts: Parts, action: 'create' | 'password'): Promise<string> {
  const { view, decisions, clock, audit, firstPassword } = parts;
  const password = newPassword();
  const passwordHash = await hashPassword(password);
  // Before the user: a controller that is killed in between makes another password at its next start.
  await firstPassword.keep(password);
  const time = new Date(clock()).toISOString();
  const entry = { ...CONTROLLER_ACTOR, time, action, resource: `users/${FIRST_USER}` } as const;
  const revision = await decisions.decide(() => {
    const made = firstUser(passwordHash, view.get('users', FIRST_USER)?.value.createdAt ?? time);
    return { ops: withNewStamp(made, view).ops, audit: entry, result: (written) => written };
  });
  await audit.append({ ...entry, outcome: 'done', revision });
  decisions.audited(revision);
  return password;
}

/** An administrator with a password that others may have seen. */
function firstUser(passwordHash: string, createdAt: string): UserRecord {
  return {
    name: FIRST_USER,
    source: 'local',
    passwordHash,
    mustChangePassword: true,
    grants: [{ role: 'admin' }],
    disabled: false,
    stamp: newStamp(),
    createdAt,
    createdBy: 'controller',
  };
}
