/**
 * Reports refusals in the log. Refused certificates are also an event and an entry of the audit
 * log, and refused sessions an entry of the audit log.
 */
import type { AuditEntry } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import type { AuditLog } from '../audit/audit.ts';
import type { EventLog } from './log.ts';
import type { Refusal } from './refusals.ts';

/** Makes the function that `Refusals` calls, at most once a minute for each kind of request. */
export function refusalTeller(parts: { audit: AuditLog; events: EventLog; log: Logger }) {
  const { audit, events, log } = parts;
  return (refusal: Refusal, count: number): void => {
    const { request, reason, message, address, node, user } = refusal;
    log.warn(
      { request, reason, address, count, ...(node !== undefined && { node }), ...(user !== undefined && { user }) },
      `refused: ${message}`,
    );
    const audited = (entry: Pick<AuditEntry, 'actor' | 'action' | 'resource'>) => {
      audit
        .append({
          ...entry,
          actorKind: 'stranger',
          address,
          outcome: 'refused',
          code: reason,
          ...(count > 1 && { count }),
        })
        .catch((error: unknown) => {
          log.error({ err: error }, 'refusal not written to the audit log');
        });
    };
    if (request === 'signIn') {
      audited({ actor: 'unknown', action: 'signIn', resource: user === undefined ? 'session' : `users/${user}` });
    }
    if (request !== 'enroll' || node === undefined) {
      return;
    }
    const others = count > 1 ? ` (the last of ${count} requests within a minute)` : '';
    void events.note({
      kind: 'requestRefused',
      object: { kind: 'node', name: node },
      code: reason,
      message: `${message}${others}`,
      cause: { kind: 'agent', name: node },
      ...(count > 1 && { count }),
    });
    audited({ actor: `node:${node}`, action: 'enroll', resource: `nodes/${node}` });
  };
}
