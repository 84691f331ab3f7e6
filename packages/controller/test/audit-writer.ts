/** Writes entries to an audit log until it is killed, and prints the resource of each that is acknowledged. */
import { writeSync } from 'node:fs';
import { openLog } from './audit-log.ts';

const log = await openLog(process.argv[2]!);
const run = process.pid;
for (let at = 0; ; at += 8) {
  await Promise.all(
    Array.from({ length: 8 }, async (_, more) => {
      const resource = `policies/p-${run}-${at + more}`;
      const who = { actor: 'admin', actorKind: 'token', address: 'unix' } as const;
      await log.append({ ...who, action: 'create', resource, outcome: 'done', revision: at + more });
      writeSync(1, `${resource}\n`);
    }),
  );
}
