/** Moves the files of a controller to the store, once. */
import { createReadStream, existsSync } from 'node:fs';
import path from 'node:path';
import { parseChainLine } from '@mirrorplane/contract/audit-chain';
import { LineSplitter } from '@mirrorplane/contract/audit-lines';
import { AuditFiles } from '../audit/files.ts';
import { allEntries, WRITES_KEY } from '../store/shared-space.ts';
import type { SharedOperation } from '../store/store.ts';
import { AUDIT_LOG } from './audit-local.ts';
import type { ClusterKey } from './cluster-key.ts';
import { readLocalFiles } from './local-files.ts';
import { MARK_KEY, type Mark, markOperation } from './mark.ts';
import { EVENTS_LOG, readLocalEvents } from './shared-events.ts';
import { EVENTS_TOLD, SharedFiles } from './shared-files.ts';
import { type Numbered, SharedLog } from './shared-log.ts';
import type { SharedWriter } from './writer.ts';

/** Bytes of the audit log that are moved: the newest ones. */
const AUDIT_BYTES = 128 << 20;
/** Bytes of lines that are written at once. */
const BATCH_BYTES = 512 << 10;

interface Parts {
  data: string;
  writer: SharedWriter;
  key: ClusterKey;
  /** Says that files are on their way. */
  mark: Mark;
}

/** An interrupted call is repeated by the next start. @returns what the store says when all is there */
export async function moveToStore({ data, writer, key, mark }: Parts): Promise<Mark> {
  await emptyFor(mark, writer, key);
  const files = await SharedFiles.open(writer, key, []);
  const { events, told } = await readLocalEvents(data);
  const local = { ...readLocalFiles(data), [EVENTS_TOLD]: told };
  await files.writeMany(local);
  const eventLog = await SharedLog.open(writer, key, EVENTS_LOG);
  await appendAll(eventLog, events);
  const auditLog = await SharedLog.open(writer, key, AUDIT_LOG);
  await appendAll(auditLog, localLines(data));
  const moved = `files of ${data} moved to etcd, sealed with cluster.key: ${Object.keys(local).length} files, ${events.length} events, the audit log from line ${auditLog.after + 1} to line ${auditLog.last}`;
  const { id: _, ...place } = mark;
  const shared: Mark = { ...place, state: 'shared', moved };
  await writer.write([markOperation(key, shared)]);
  return shared;
}

/** Says which files are to come, and then removes all that is shared: there is no moment without a mark. */
export async function emptyFor(mark: Mark, writer: SharedWriter, key: ClusterKey): Promise<void> {
  await writer.write([markOperation(key, mark)]);
  const found = await allEntries(writer.space, '', { keysOnly: true });
  const keys = found.map(({ key }) => key).filter((key) => key !== WRITES_KEY && key !== MARK_KEY);
  const ops = keys.map((key): SharedOperation => ({ type: 'delete', key }));
  for (let at = 0; at < ops.length; at += 1000) {
    await writer.write(ops.slice(at, at + 1000));
  }
}

async function appendAll(log: SharedLog, lines: Iterable<Numbered> | AsyncIterable<Numbered>): Promise<void> {
  let batch: Numbered[] = [];
  let bytes = 0;
  for await (const one of lines) {
    batch.push(one);
    bytes += one.line.length;
    if (bytes > BATCH_BYTES) {
      await log.append(batch);
      [batch, bytes] = [[], 0];
    }
  }
  if (batch.length > 0) {
    await log.append(batch);
  }
}

/** The newest lines of the chain in a data directory, the oldest of them first. */
async function* localLines(data: string): AsyncGenerator<Numbered> {
  const file = path.join(data, 'audit.log');
  if (!existsSync(file)) {
    return;
  }
  const { files } = await AuditFiles.open(file);
  const list = files.list();
  await files.close();
  let bytes = 0;
  const most = list.findIndex((one) => {
    bytes += one.bytes;
    return bytes > AUDIT_BYTES;
  });
  for (const one of list.slice(0, most < 0 ? list.length : Math.max(1, most)).toReversed()) {
    const lines = new LineSplitter();
    for await (const piece of createReadStream(one.path)) {
      for (const text of lines.push(piece as Buffer)) {
        const line = parseChainLine(text);
        if (line) {
          yield { number: line.seq, line: text };
        }
      }
    }
  }
}
