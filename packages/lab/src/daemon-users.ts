/**
 * The users of a lab's daemons: not root, and with no more capabilities than the units of the
 * packages give them. So every test on a lab shows that they need no more.
 */
import { chownSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Of no account on this host. */
const USERS = { controller: 60_811, agent: 60_812 } as const;
export type Daemon = keyof typeof USERS;

/** As in the unit of the package, in the words of setpriv(1). */
const CAPABILITIES = { controller: '-all', agent: '-all,+bpf,+perfmon,+net_admin,+net_raw,+sys_nice' } as const;
/** A controller of root starts decoders as nobody. */
const OF_ROOT = { ...CAPABILITIES, controller: '-all,+setuid,+setgid' } as const;

const RCU_EXPEDITED = '/sys/kernel/rcu_expedited';

/** Others may enter a folder and all folders above it. */
function isOpen(folder: string): boolean {
  const open = (statSync(folder).mode & 0o001) !== 0;
  return open && (folder === '/' || isOpen(dirname(folder)));
}

/**
 * Whether daemons can be other users than root. They cannot, where others may not enter the source
 * tree or the bpf file system. Then they are root with the same capabilities.
 */
export function haveUsers(): boolean {
  return isOpen(import.meta.dirname) && isOpen('/sys/fs/bpf');
}

/** The arguments that run a daemon as its user. */
export function asUser(daemon: Daemon, argv: readonly string[]): string[] {
  const bounded = (set: string) => ['--bounding-set', set, '--no-new-privs', '--', ...argv];
  if (!haveUsers()) {
    return ['setpriv', ...bounded(OF_ROOT[daemon])];
  }
  const set = CAPABILITIES[daemon];
  return ['setpriv', ...userOf(daemon), '--inh-caps', set, '--ambient-caps', set, ...bounded(set)];
}

/**
 * The arguments that run what root does for a daemon: as its user, with what a check and an
 * uninstall need besides. So does the command of the package.
 */
export function asRootFor(daemon: Daemon, argv: readonly string[]): string[] {
  const set = `${CAPABILITIES[daemon]},+sys_admin,+dac_override`;
  // access(2) counts capabilities of a user who is not root only with this bit.
  const more = ['--securebits=+no_setuid_fixup', '--inh-caps', set, '--ambient-caps', set, '--'];
  return haveUsers() ? ['setpriv', ...userOf(daemon), ...more, ...argv] : [...argv];
}

function userOf(daemon: Daemon): string[] {
  const id = String(USERS[daemon]);
  return ['--reuid', id, '--regid', id, '--clear-groups'];
}

/** The variables of a daemon: a user who is not root keeps compiled code in a folder of its own. */
export function environmentOf(daemon: Daemon): Record<string, string> {
  const { NODE_COMPILE_CACHE: cache } = process.env;
  if (cache === undefined || !haveUsers()) {
    return {};
  }
  const folder = join(cache, daemon);
  folderOf(daemon, folder);
  return { NODE_COMPILE_CACHE: folder };
}

/** Makes a folder that belongs to the user of a daemon. One that is there stays as it is. */
export function folderOf(daemon: Daemon, folder: string): void {
  mkdirSync(dirname(folder), { recursive: true });
  if (mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined) {
    giveTo(daemon, folder);
  }
}

/** Gives the agents what only its owner may write: see datapath/kernel/expedite.ts of the agent. */
export function ownExpedited(): void {
  giveTo('agent', RCU_EXPEDITED);
}

/** Gives it back to root. */
export function disownExpedited(): void {
  chownSync(RCU_EXPEDITED, 0, 0);
}

/** Makes a file or folder one of the user of a daemon. */
export function giveTo(daemon: Daemon, path: string): void {
  if (haveUsers()) {
    chownSync(path, USERS[daemon], USERS[daemon]);
  }
}
