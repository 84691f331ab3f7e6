/** Says what lets the agent read of containers what it may not read. */
import { reason } from '../log.ts';
import { errno } from './bounded-file.ts';

const REMEDY =
  'run "systemctl edit mirrorplane-agent" and write User=root and Group=root below [Service], or start the agent with --containers off';

/** Whether the user of the agent lacks a right. */
export function isDenied(error: unknown): boolean {
  return ['EACCES', 'EPERM'].includes(errno(error) ?? '');
}

/** Why something of containers cannot be read, with the remedy where a right is missing. */
export function whyUnread(error: unknown): string {
  return isDenied(error) ? `${reason(error)}: ${REMEDY}` : reason(error);
}
