/**
 * Reports refusals in the log. Refused certificates are also an event and an entry of the audit
 * log, and refused sessions an entry of the audit log.
 */
import type { AuditDraft } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import type { RefusedEntries } from '../audit/refused-entries.ts';
import type { EventLog } from './log.ts';
import type { Refusal } from './refusals.ts';

/** Makes the function that `Refusals` calls, at most once a minute for each kind of request. */
export function refusalTeller(parts: { refused: RefusedEntries; events: EventLog; log: Logger }) {
  const { refused, events, log } = parts;
  return (refusal: Refusal, count: number): void => {
    const { request, reason, message, address, node, user } = refusal;
    log.warn(
      { request, reason, address, count, ...(node !== undefined && { node }), ...(user !== undefined && { user }) },
      `refused: ${message}`,
    );
    const audited = (entry: Pick<AuditDraft, 'actor' | 'action' | 'resource'>) => {
      const draft = { ...entry, actorKind: 'stranger', address, outcome: 'refused', code: reason } as const;
      refused.add(draft, count).catch((error: unknown) => {
        log.error({ err: error }, 'refusal not written to the audit log');
      });
    };
    if (request === 'signIn') {
      audited({ actor: 'unknown', action: 'signIn', resource: user === undefined ? 'session' : `users/${user}` });
    }
    if (request === 'apiRequest') {
      audited({ actor: 'unknown', action: 'request', resource: message });
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
