/** The controller checks its own audit log: after its start, each day, and when asked. */
import { setImmediate as breathe } from 'node:timers/promises';
import { auditKeys } from '@mirrorplane/contract/audit-chain';
import { type AuditVerdict, ChainCheck } from '@mirrorplane/contract/audit-check';
import { LineSplitter } from '@mirrorplane/contract/audit-lines';
import type { AuditLog } from './audit.ts';
import { closeAll, piecesOf } from './reading.ts';

/** Milliseconds from the start to the first check, and between two checks. */
const FIRST_MS = 30_000;
const EVERY_MS = 24 * 60 * 60 * 1000;

/** The result of a check, and when it ended. */
export interface Checked {
  /** ISO 8601. */
  at: string;
  verdict: AuditVerdict;
}

/** The log as it is checked. */
type CheckedLog = Pick<AuditLog, 'filesAfter' | 'head' | 'authority'>;

/** The verdict on all lines that the log has now. Others have their turn between two pieces. */
export async function checkLog(log: CheckedLog): Promise<AuditVerdict> {
  // The head first: lines that come meanwhile are behind it.
  const { head, authority } = log;
  const files = await log.filesAfter(0);
  if (log.authority !== authority) {
    // Another one has begun to sign, maybe in these files.
    await closeAll(files);
    return checkLog(log);
  }
  const check = new ChainCheck(auditKeys(authority), head);
  try {
    for (const [index, file] of files.entries()) {
      check.file(index === files.length - 1 ? 'audit.log' : `audit.log.${files.length - 1 - index}`);
      const lines = new LineSplitter();
      for await (const piece of piecesOf(file)) {
        for (const line of lines.push(piece)) {
          check.take(line);
        }
        await breathe();
      }
    }
  } finally {
    await closeAll(files);
  }
  return check.end();
}

export class SelfCheck {
  readonly #log: CheckedLog;
  readonly #clock: () => number;
  readonly #tell: (message: string) => void;
  #running: Promise<Checked> | undefined;
  #last: Checked | undefined;
  #timer: NodeJS.Timeout;
  #isClosed = false;

  /** @param tell told of the first fault of the log */
  constructor(log: CheckedLog, { clock, tell }: { clock: () => number; tell: (message: string) => void }) {
    this.#log = log;
    this.#clock = clock;
    this.#tell = tell;
    this.#timer = this.#later(FIRST_MS);
  }

  /** The last check. Undefined: there was none since the start. */
  get last(): Checked | undefined {
    return this.#last;
  }

  /** Checks now. One check serves all who ask while it runs. */
  run(): Promise<Checked> {
    this.#running ??= this.#check().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#running?.catch(() => undefined);
  }

  async #check(): Promise<Checked> {
    const verdict = await checkLog(this.#log);
    const { fault } = verdict;
    if (fault && this.#last?.verdict.fault?.message !== fault.message) {
      this.#tell(`the audit log is not what it was: ${fault.message}`);
    }
    this.#last = { at: new Date(this.#clock()).toISOString(), verdict };
    return this.#last;
  }

  #later(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.run()
        .catch((error: unknown) => this.#tell(`the audit log cannot be checked: ${(error as Error).message}`))
        .finally(() => {
          if (!this.#isClosed) {
            this.#timer = this.#later(EVERY_MS);
          }
        });
    }, ms).unref();
  }
}
