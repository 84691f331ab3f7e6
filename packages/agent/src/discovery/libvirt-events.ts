/** Reads the lines of `virsh event --loop --all`. Pure. */
import type { GuestState } from '@mirrorplane/contract';

/** An event of a domain that may have changed its NICs, or the place of its guest. */
export interface DomainEvent {
  domain: string;
  /** The state of the guest, if the event gives it. */
  guest?: GuestState;
}

const LINE = /event '([a-z-]+)' for domain '(.*?)':\s*(.*)$/;
/** Other events do not affect identities, and some come every second. */
const RELEVANT = new Set(['lifecycle', 'device-added', 'device-removed', 'metadata-change', 'job-completed']);
/**
 * Lifecycle events after which the guest of a domain is not here. A pause by the operator is none
 * of them.
 */
const ABSENT = /^(Started Migrated|Suspended (Migrated|Post-copy.*)|Stopped .*|Crashed .*)$/;
const RUNNING = /^Resumed (?!Post-copy Error)/;

/** Reads a line. Undefined for lines without a relevant event. */
export function parseEvent(line: string): DomainEvent | undefined {
  const [, event, domain, detail] = LINE.exec(line) ?? [];
  if (event === undefined || domain === undefined || detail === undefined || !RELEVANT.has(event)) {
    return undefined;
  }
  if (event !== 'lifecycle') {
    return { domain };
  }
  if (ABSENT.test(detail)) {
    return { domain, guest: 'absent' };
  }
  return RUNNING.test(detail) ? { domain, guest: 'running' } : { domain };
}
