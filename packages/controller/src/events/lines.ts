/** The lines of the file of events. Reading uses bounded memory for any contents. */
import type { FileHandle } from 'node:fs/promises';
import { Event, type EventDraft, MAX_ID, MAX_TEXT } from '@mirrorplane/contract';

/** Identifies an event of an agent: node, start of the agent, number. */
export interface Origin {
  node: string;
  epoch: string;
  seq: number;
}

/**
 * A line of the file. The first lines of a rewritten file record which events were already
 * reported.
 */
export interface Line {
  event?: Event;
  origin?: Origin;
  /** Store revision of the change that it reports. */
  revision?: number;
  /** Id of the newest event at that time. */
  last?: number;
}

/** The longest line, bytes. Written lines are shorter (`bounded`). A longer line is ignored. */
export const MAX_LINE_BYTES = 256 * 1024;
const CHUNK_BYTES = 64 * 1024;
/** The longest message of an event, characters. The contract allows less for events of agents. */
const MAX_MESSAGE = 4096;

/** A draft with texts cut to the limits of the log. */
export function bounded<T extends EventDraft>(draft: T): T {
  const { message, object, reasons } = draft;
  return {
    ...draft,
    message: cut(message, MAX_MESSAGE),
    object: { ...object, name: cut(object.name, MAX_ID) },
    ...(reasons && { reasons: reasons.map((reason) => ({ ...reason, message: cut(reason.message, MAX_TEXT) })) }),
  };
}

function cut(text: string, characters: number): string {
  return text.length > characters ? `${text.slice(0, characters - 1)}…` : text;
}

export function textOf(lines: readonly Line[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** Parses a line. Unknown parts are ignored. */
export function parseLine(text: string): Line {
  try {
    const { event, origin, revision, last } = JSON.parse(text) as Record<keyof Line, never>;
    const known = Event.safeParse(event);
    return {
      ...(known.success && { event: known.data }),
      ...(isOrigin(origin) && { origin }),
      ...(Number.isSafeInteger(revision) && { revision }),
      ...(Number.isSafeInteger(last) && { last }),
    };
  } catch {
    return {};
  }
}

function isOrigin(value: unknown): value is Origin {
  const { node, epoch, seq } = (value ?? {}) as Record<keyof Origin, unknown>;
  return typeof node === 'string' && typeof epoch === 'string' && Number.isSafeInteger(seq);
}

/** The lines of a file, without line ends. A line that is too long is returned empty. */
export async function* readLines(file: FileHandle): AsyncGenerator<{ text: string; ended: boolean }> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let pieces: Buffer[] = [];
  let size = 0;
  const take = (bytes: Buffer) => {
    size += bytes.length;
    if (size > MAX_LINE_BYTES) {
      pieces = [];
    } else {
      // Copied, because the buffer is used again.
      pieces.push(Buffer.from(bytes));
    }
  };
  const line = () => {
    const text = Buffer.concat(pieces).toString('utf8');
    pieces = [];
    size = 0;
    return text;
  };
  for (let position = 0; ; ) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, position);
    if (bytesRead === 0) {
      if (size > 0) {
        yield { text: line(), ended: false };
      }
      return;
    }
    position += bytesRead;
    const read = chunk.subarray(0, bytesRead);
    let start = 0;
    for (let end = read.indexOf(0x0a); end >= 0; end = read.indexOf(0x0a, start)) {
      take(read.subarray(start, end));
      yield { text: line(), ended: true };
      start = end + 1;
    }
    take(read.subarray(start));
  }
}
