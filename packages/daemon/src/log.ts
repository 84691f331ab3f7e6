/**
 * The log of a daemon: one JSON object a line on standard error, or plain lines in the journal. A
 * line has `level` by name, `time` as ISO 8601, `daemon`, fields about its subject, and `msg`. An
 * error is in the field `err`.
 */
import { type Logger, pino } from 'pino';
import { logDestination } from './journal.ts';

export type { Logger };

/** Levels that `--log-level` takes. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * Options of pino. @param daemon names the writer of a line, because two daemons may share a stream
 */
export function logOptions(daemon: string, level: LogLevel) {
  return {
    level,
    base: { daemon },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (name: string) => ({ level: name }) },
  };
}

/**
 * A log that writes to standard error, so that standard output stays free for what a command
 * prints.
 */
export function createLog(daemon: string, level: LogLevel): Logger {
  return pino(logOptions(daemon, level), logDestination());
}
