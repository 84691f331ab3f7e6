/**
 * Whether the files and folders of a daemon are its own: nobody but root and its user can change or
 * replace them. sshd looks at its keys in the same way.
 */
import { lstatSync, readdirSync, type Stats, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { requirePrivate } from './private-file.ts';

const ALL_WRITE = 0o002;
const GROUP_WRITE = 0o020;
const STICKY = 0o1000;
/** Names of files with secrets. */
const SECRET = /[.]key$|token$|password$|^(sessions|wireguard)[.]json$/;

/**
 * Whether an owner is neither root nor the user of this process.
 * @param also a user who is trusted as well
 */
export function isForeign(uid: number, also?: number): boolean {
  return uid !== 0 && uid !== process.geteuid?.() && uid !== also;
}

/**
 * Checks the folders above. A user who owns one of them, or can write it, could replace what is in
 * it. A sticky folder such as /tmp prevents this.
 * @param path may be absent, and so may the folders above it
 * @param also a user who is trusted as well
 * @throws Error with a remedy
 */
export function requireNotReplaceable(path: string, also?: number): void {
  for (let above = dirname(resolve(path)); ; above = dirname(above)) {
    const stat = statSync(above, { throwIfNoEntry: false });
    if (stat) {
      requireTrusted(above, stat, path, also);
    }
    if (above === dirname(above)) {
      return;
    }
  }
}

function requireTrusted(above: string, { uid, gid, mode }: Stats, path: string, also?: number): void {
  if (isForeign(uid, also)) {
    throw new Error(`user ${uid} owns ${above}, so they can replace ${path}: run "chown root: ${above}"`);
  }
  if ((mode & STICKY) !== 0) {
    return;
  }
  if ((mode & ALL_WRITE) !== 0) {
    throw new Error(`all users may write ${above}, so they can replace ${path}: run "chmod o-w ${above}"`);
  }
  if ((mode & GROUP_WRITE) !== 0 && gid !== 0 && gid !== process.getegid?.()) {
    throw new Error(`group ${gid} may write ${above}, so it can replace ${path}: run "chmod g-w ${above}"`);
  }
}

/**
 * Checks a program that a daemon loads.
 * @param code a file of the daemon's own code: who owns that is trusted with the program, too
 * @throws Error with a remedy, if another user owns it, or can change or replace it
 */
export function requireOwnProgram(path: string, code: string): void {
  const { uid } = statSync(code);
  requireUnchangeable(path, statSync(path), uid);
  requireNotReplaceable(path, uid);
}

/** @throws Error with a remedy, if another user owns a file or folder, or can write it */
export function requireUnchangeable(path: string, { uid, mode }: Stats, also?: number): void {
  if (isForeign(uid, also)) {
    throw new Error(`${path} belongs to user ${uid}: run "chown root: ${path}" if you trust what is in it`);
  }
  if ((mode & (ALL_WRITE | GROUP_WRITE)) !== 0) {
    const octal = (mode & 0o7777).toString(8).padStart(4, '0');
    throw new Error(`other users may write ${path} (mode ${octal}): run "chmod go-w ${path}"`);
  }
}

/**
 * Checks a data folder and each file and folder directly in it. A file with a secret must not be
 * readable by others.
 * @throws Error with a remedy
 */
export function requireOwnFolder(folder: string): void {
  requireUnchangeable(folder, statSync(folder));
  requireNotReplaceable(folder);
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isSymbolicLink()) {
      throw new Error(`${path} is a symbolic link: put the file itself there, or remove it`);
    }
    if (stat?.isFile() || stat?.isDirectory()) {
      requireUnchangeable(path, stat);
      if (SECRET.test(name)) {
        requirePrivate(path, stat, 'a secret');
      }
    }
  }
}
