/**
 * Appends to the event log until it is killed, and prints the id of each event when it is on the
 * disk.
 */
import pino from 'pino';
import { EventLog } from '../src/events/log.ts';

const log = await EventLog.open(process.argv[2]!, { clock: Date.now, log: pino({ level: 'silent' }), limit: 100 });
const controller = { kind: 'controller', name: 'controller' } as const;
for (;;) {
  const first = log.last + 1;
  const batch = Array.from({ length: 3 }, (_, index) => {
    const message = `event ${first + index}`;
    return { kind: 'controllerStarted', object: controller, message, cause: controller } as const;
  });
  await log.append(...batch);
  process.stdout.write(`${log.last}\n`);
}
