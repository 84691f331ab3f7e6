/** Looks in the event log and in the audit log: who looks at what, why, and why it has ended. */
import type { AuditDraft, EventDraft, LookEndReason } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import type { AuditLog } from '../audit/audit.ts';
import type { EventLog } from '../events/log.ts';
import type { LiveLook } from './live-look.ts';
import type { LookOwner, Looks } from './looks.ts';

const WHY: Record<LookEndReason, string> = {
  asked: 'it was ended',
  lease: 'nobody renewed it',
  age: 'it was ten minutes old',
  unseen: 'what it looked at is not there any more',
  controller: 'the controller was closed',
  access: 'who began it may not look any more',
};

/**
 * Notes begin and end of each look, as an event and in the audit log. A look whose begin cannot be
 * written ends: nobody looks unseen.
 */
export function tellLooks(parts: { looks: Looks; audit: AuditLog; events: EventLog; log: Logger }): void {
  const { looks, audit, events, log } = parts;
  looks.on('began', (look) => {
    const message = `look began: ${whatOf(look)}`;
    log.info({ look: look.id, owner: look.owner }, message);
    look.audited = audit.append(beginEntry(look));
    look.audited.catch((error: unknown) => {
      log.error({ err: error }, 'begin of a look not written to the audit log');
      looks.end(look.id, 'controller');
    });
    void events.note({ ...draftOf(look), kind: 'lookBegan', message, cause: { kind: 'operator', name: look.owner } });
  });
  looks.on('ended', (look, by) => {
    const message = `look of ${look.owner} ended, because ${WHY[look.endedBy!]}`;
    log.info({ look: look.id, owner: look.owner }, message);
    const cause = by ? ({ kind: 'operator', name: by.name } as const) : CONTROLLER;
    void events.note({ ...draftOf(look), kind: 'lookEnded', message, cause });
    audit.append(endEntry(look, by)).catch((error: unknown) => {
      log.error({ err: error }, 'end of a look not written to the audit log');
    });
  });
}

const CONTROLLER = { kind: 'controller', name: 'controller' } as const;

function draftOf({
  id,
  request: { interfaces, policy },
}: LiveLook): Pick<EventDraft, 'object' | 'interfaces' | 'policy'> {
  return {
    object: { kind: 'look', name: id },
    ...(interfaces && { interfaces }),
    ...(policy !== undefined && { policy }),
  };
}

/** What is looked at, with which words, and the comment. */
export function whatOf({ request }: Pick<LiveLook, 'request'>): string {
  const { interfaces, policy, words, payload, comment } = request;
  const subject = interfaces?.join(', ') ?? `the sources of policy ${policy}`;
  const which = words === '' ? 'all packets' : `packets "${words}"`;
  const how = payload ? 'with payload' : 'headers';
  return `${which} of ${subject}, ${how}${comment === '' ? '' : `; ${comment}`}`;
}

/** The owner of a look, or who has ended it, for an entry of the audit log. */
export function whoOwns({ name, kind, address }: LookOwner): Pick<AuditDraft, 'actor' | 'actorKind' | 'address'> {
  return { actor: name, actorKind: kind, address };
}

function beginEntry(look: LiveLook): AuditDraft {
  const { id, owner, ownerKind, address } = look;
  const who = whoOwns({ name: owner, kind: ownerKind, address });
  return { ...who, action: 'create', resource: `looks/${id}`, outcome: 'done', detail: whatOf(look) };
}

function endEntry(look: LiveLook, by: LookOwner | undefined): AuditDraft {
  return {
    ...whoOwns(by ?? { ...CONTROLLER, address: look.address }),
    action: 'delete',
    resource: `looks/${look.id}`,
    outcome: 'done',
    detail: `${WHY[look.endedBy!]}; ${whatOf(look)}; begun by ${look.owner}`,
  };
}
