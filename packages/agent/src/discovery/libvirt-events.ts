/** Reads the lines of `virsh event --loop --all`. Pure. */
import type { GuestState } from '@mirrorplane/contract';

/** Something happened to a domain that may have changed its NICs or where its guest is. */
export interface DomainEvent {
  domain: string;
  /** Where the guest is, where the event tells it. */
  guest?: GuestState;
}

const LINE = /event '([a-z-]+)' for domain '(.*?)':\s*(.*)$/;
/** The other events tell nothing that an identity hangs on, and some come every second. */
const RELEVANT = new Set(['lifecycle', 'device-added', 'device-removed', 'metadata-change', 'job-completed']);
/** Lifecycle events after which the guest of a domain is not here. Those of a pause by the operator are not among them. */
const ABSENT = /^(Started Migrated|Suspended (Migrated|Post-copy.*)|Stopped .*|Crashed .*)$/;
const RUNNING = /^Resumed (?!Post-copy Error)/;

/** Undefined for lines that report nothing of interest. */
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
