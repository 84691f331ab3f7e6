/** The lines of the file of events. Reading it takes bounded memory, whatever stands in it. */
import type { FileHandle } from 'node:fs/promises';
import { Event, type EventDraft, MAX_ID, MAX_TEXT } from '@mirrorplane/contract';

/** Which event of which start of which agent it is. */
export interface Origin {
  node: string;
  epoch: string;
  seq: number;
}

/** A line of the file. The first lines of a file that was written again say what had been told by then. */
export interface Line {
  event?: Event;
  origin?: Origin;
  /** Store revision of the change that it reports. */
  revision?: number;
  /** Id of the newest event by then. */
  last?: number;
}

/** Bytes of a line; what we write is less, see `bounded`. A longer one is left out. */
export const MAX_LINE_BYTES = 256 * 1024;
const CHUNK_BYTES = 64 * 1024;
/** Characters of the message of an event; of one of an agent, the contract allows less. */
const MAX_MESSAGE = 4096;

/** A draft whose texts are no longer than those of the log may be. */
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

/** What a line says, as far as it is understood. */
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

/** The lines of a file from its beginning, each without its end; one that is too long is empty. */
export async function* readLines(file: FileHandle): AsyncGenerator<{ text: string; ended: boolean }> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let pieces: Buffer[] = [];
  let size = 0;
  const take = (bytes: Buffer) => {
    size += bytes.length;
    if (size > MAX_LINE_BYTES) {
      pieces = [];
    } else {
      // Copied: the chunk is filled again.
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
