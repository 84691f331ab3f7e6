/** The agent's log: pino, one JSON object a line, or plain lines in the journal; the context at the end of the message. */
import { logDestination } from '@mirrorplane/daemon/journal';
import { type Logger, pino } from 'pino';

export type { Logger };

/** Levels that `--log-level` takes. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A log that writes to standard error, so that standard output stays free for what a command prints. */
export function createLog(level: LogLevel): Logger {
  return pino({ level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime }, logDestination());
}

/** A log line: `attach failed [device:tap12 errno:EBUSY]`. Entries that are undefined are left out. */
export function say(message: string, context: Record<string, string | number | boolean | undefined> = {}): string {
  const parts = Object.entries(context).flatMap(([key, value]) => (value === undefined ? [] : [`${key}:${value}`]));
  return parts.length === 0 ? message : `${message} [${parts.join(' ')}]`;
}

/** What an unknown thrown value says. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
