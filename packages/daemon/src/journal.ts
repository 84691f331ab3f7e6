/** Log lines for the journal: plain text with the level in front, as in sd-daemon(3). */
import { fstatSync } from 'node:fs';
import { type DestinationStream, destination } from 'pino';

/** Descriptor of standard error. */
const STDERR = 2;

/** Fields that the journal shows itself, or that are not for people. */
const LEFT_OUT = new Set(['level', 'time', 'daemon', 'msg']);

/** A place for lines of a log, which writes them in the background. */
interface LogDestination extends DestinationStream {
  /** Calls back when all lines so far are written. A log has it as its own `flush`. */
  flush: (done: () => void) => void;
}

/**
 * Where a pino log goes: standard error, as JSON. If standard error is the journal, the log is
 * text, which `journalctl` shows better.
 */
export function logDestination(env: NodeJS.ProcessEnv = process.env): LogDestination {
  const out = destination(STDERR);
  const form = isJournal(env.JOURNAL_STREAM) ? journalLine : (line: string) => line;
  let isWritten = true;
  out.on('drain', () => {
    isWritten = true;
  });
  return {
    write: (line) => {
      isWritten = false;
      out.write(visible(form(line)));
    },
    // `flush` of the stream itself does not wait for the line that is being written.
    flush: (done) => {
      if (isWritten) {
        done();
      } else {
        out.once('drain', done);
      }
    },
  };
}

/**
 * The text with control characters as `\uXXXX`, except line ends. A name in a log may come from a
 * guest, and a log may be read in a terminal. `journalctl` hides the whole line of such a name.
 */
export function visible(text: string): string {
  return text.replace(
    /[^\P{Cc}\n]|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * JOURNAL_STREAM holds device and inode of the journal's socket. They are compared, because
 * standard error may be redirected.
 */
function isJournal(stream: string | undefined): boolean {
  if (stream === undefined) {
    return false;
  }
  const { dev, ino } = fstatSync(STDERR);
  return stream === `${dev}:${ino}`;
}

/**
 * Turns a line of pino into a journal line: `<6>attach failed [device:tap12]`. Any other line stays
 * unchanged.
 */
export function journalLine(line: string): string {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line);
  } catch {
    return line;
  }
  const context = Object.entries(entry).flatMap(([key, value]) => (LEFT_OUT.has(key) ? [] : [`${key}:${text(value)}`]));
  const message = context.length === 0 ? `${entry.msg}` : `${entry.msg} [${context.join(' ')}]`;
  const stack = (entry.err as { stack?: unknown } | undefined)?.stack;
  const lines = [message, ...(typeof stack === 'string' ? stack.split('\n').slice(1) : [])];
  const prefix = `<${PRIORITY[String(entry.level)] ?? PRIORITY.info}>`;
  return lines.map((one) => `${prefix}${one.replaceAll('\n', ' ')}\n`).join('');
}

function text(value: unknown): string {
  if (typeof value !== 'object' || value === null) {
    return String(value);
  }
  // An error, as pino writes it. Its stack follows in separate lines.
  if ('message' in value && 'stack' in value) {
    return String(value.message);
  }
  return JSON.stringify(value);
}

/** The syslog(3) level for each level of pino. */
const PRIORITY: Record<string, number> = { fatal: 2, error: 3, warn: 4, info: 6, debug: 7, trace: 7 };
