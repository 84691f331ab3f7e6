/** Tells what is wrong with the audit log itself, in the log and as an event. */
import type { Logger } from '@mirrorplane/daemon';
import type { EventLog } from './log.ts';

export function auditTeller({ events, log }: { events: EventLog; log: Logger }): (message: string) => void {
  const controller = { kind: 'controller', name: 'controller' } as const;
  return (message) => {
    log.error(message);
    void events.note({ kind: 'auditProblem', object: controller, message, cause: controller });
  };
}
