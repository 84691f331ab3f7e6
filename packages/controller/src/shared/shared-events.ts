/** The event log in the shared space. */
import { createReadStream, existsSync } from 'node:fs';
import path from 'node:path';
import { replaceFile } from '@mirrorplane/base';
import { LineSplitter } from '@mirrorplane/contract/audit-lines';
import { parseLine } from '../events/lines.ts';
import type { EventCopy } from '../events/stored-events.ts';
import type { SharedSpace } from '../store/store.ts';
import type { ClusterKey } from './cluster-key.ts';
import { readPieces } from './pieces.ts';
import { EVENTS_TOLD, type SharedFiles } from './shared-files.ts';
import type { Numbered, SharedLog } from './shared-log.ts';

export const EVENTS_LOG = 'events';

const fileOf = (data: string) => path.join(data, 'events.log');

/** What the event log writes to. */
export function eventCopy(log: SharedLog, files: SharedFiles): EventCopy {
  return {
    append: (lines) => log.append(lines),
    async rewrite(kept, told) {
      await files.write({ [EVENTS_TOLD]: told });
      await log.rewrite(kept);
    },
  };
}

/**
 * The text of the file by what the store has, and the number of the last event.
 * @throws SealError if something was changed
 */
export async function eventsText(
  space: SharedSpace,
  key: ClusterKey,
  told = '',
  revision?: number,
): Promise<{ text: string; last: number }> {
  const parts = [told];
  let newest = 0;
  const range = revision === undefined ? {} : { revision };
  for await (const { lines, last } of readPieces(space, key, EVENTS_LOG, range)) {
    parts.push(lines.map((line) => `${line}\n`).join(''));
    newest = last;
  }
  return { text: parts.join(''), last: newest };
}

export function writeEvents(data: string, text: string): Promise<void> {
  return replaceFile(fileOf(data), text);
}

/** The events of a file, and the other lines that say what was told. */
export async function readLocalEvents(data: string): Promise<{ events: Numbered[]; told: string }> {
  const events: Numbered[] = [];
  let told = '';
  const lines = new LineSplitter();
  for await (const piece of existsSync(fileOf(data)) ? createReadStream(fileOf(data)) : []) {
    for (const text of lines.push(piece as Buffer)) {
      const line = parseLine(text);
      if (line.event && line.event.id > (events.at(-1)?.number ?? 0)) {
        events.push({ number: line.event.id, line: text });
      } else if (!line.event && Object.keys(line).length > 0) {
        told += `${text}\n`;
      }
    }
  }
  return { events, told };
}
