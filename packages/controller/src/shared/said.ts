/** What became of the local audit log, for an operator. */
import type { CaughtUp } from './audit-local.ts';

/** In sentences. */
export function said({ aside, older, missing }: CaughtUp): string[] {
  return [
    ...(aside === undefined
      ? []
      : [
          `the audit log of this data directory had lines that etcd does not have. They were never acknowledged, or are from before a restore or a copy of the store to etcd. They are in ${aside}.*, and the log goes on by that in etcd`,
        ]),
    ...(older === undefined
      ? []
      : [
          `this controller was away for longer than etcd keeps lines of the audit log: the lines up to ${older.last} are in ${older.aside}.*, and the log goes on by that in etcd`,
        ]),
    ...(missing === undefined
      ? []
      : [
          `the lines ${missing.from} to ${missing.to} of the audit log are not on this controller: etcd has the newest ones only. A controller that was there before has them in its data directory`,
        ]),
  ];
}
