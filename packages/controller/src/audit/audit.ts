/**
 * The append-only record of who changed what: DATA/audit.log, one JSON object a line, each with the
 * hash of the line before it, and signed now and then. docs/audit.md describes the format.
 */
import { Serial } from '@mirrorplane/base';
import type { AuditDraft, AuditEntry } from '@mirrorplane/contract';
import { auditKeys, SIGN_EVERY } from '@mirrorplane/contract/audit-chain';
import { ProblemError } from '../problems/problems.ts';
import { type ChainEnd, type CheckpointDetails, checkpointLine, entryLine, type Signer } from './chain.ts';
import { findEnd } from './end.ts';
import { Failure } from './failure.ts';
import { AuditFiles, type LogFile } from './files.ts';
import { Backwards } from './proven.ts';
import { type AuditPage, type AuditSearch, firstLineOf, type OpenFile, openFrom, readPage } from './reading.ts';
import { FILE_BYTES, fileMs, KEEP_BYTES, type Retention, surplusOf } from './retention.ts';
import { sealsOf } from './seal.ts';
import { asSigned } from './signed-files.ts';

/** Number of last lines that are searched for the last decisions. */
const RECOVER_LINES = 4096;
/** Milliseconds after which lines are signed at the latest. */
const SIGN_AFTER_MS = 60_000;
/** Milliseconds between two tries to write, while the disk refuses, and while the copy does. */
const RETRY_MS = 500;
const COPY_RETRY_MS = 250;
/** Milliseconds between two searches for files that are too old. */
const REMOVE_EVERY_MS = 60 * 60 * 1000;

/** Where the newest signed checkpoint is kept besides the log: what is cut off its end is found. */
export interface Heads {
  read(): Promise<string | undefined>;
  write(line: string): Promise<void>;
}

/** Takes lines before they are in the files, so that other controllers have them. */
export interface AuditCopy {
  /** @throws Error if it is not known that it has them. The next lines take their place then */
  append(lines: readonly { number: number; line: string }[]): Promise<void>;
}

export interface AuditOptions extends Partial<Retention> {
  /** Milliseconds since 1970. */
  clock: () => number;
  signer: Signer;
  heads: Heads;
  /** Has the lines first. The files follow it then: they need not be on the disk. */
  copy?: AuditCopy | undefined;
  /** Number of the oldest line that this controller has had, where others had older ones. */
  begins?: number | undefined;
  /** Milliseconds after which lines are signed at the latest. Default `SIGN_AFTER_MS` */
  signAfterMs?: number;
  /** The entry of a decision is written after all, though its caller was told that it is not. */
  late?: (revision: number) => void;
  /** Told what an operator has to know: the log cannot be written, or is not what it was. */
  tell?: (message: string) => void;
}

/** Options with their defaults. */
type Known = Required<Omit<AuditOptions, 'copy' | 'begins'>> & Pick<AuditOptions, 'copy' | 'begins'>;

/** An entry that waits to be written. */
interface Waiting {
  entry: Omit<AuditEntry, 'seq' | 'prev'>;
  done: (error?: unknown) => void;
}

export class AuditLog {
  readonly #options: Known;
  readonly #files: AuditFiles;
  readonly #serial = new Serial();
  readonly #heads = new Serial();
  readonly #listeners = new Set<(lines: readonly string[]) => void>();
  readonly #sweep: NodeJS.Timeout;
  readonly #failure: Failure;
  #waiting: Waiting[] = [];
  #end: ChainEnd;
  #head: string | undefined;
  /** Lines that the copy has, and the files have not: the disk has refused. */
  #behind: readonly string[] = [];
  #authority = '';
  #signing: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** When the file that is written began, milliseconds since 1970. */
  #fileBegan: number;

  private constructor(options: Known, files: AuditFiles, end: ChainEnd, fileBegan: number) {
    this.#options = options;
    this.#files = files;
    this.#end = end;
    this.#fileBegan = fileBegan;
    // Etcd is away now and then, while disks that refuse are a fault.
    this.#failure = new Failure(options.copy !== undefined);
    this.#sweep = setInterval(() => void this.#serial.run(() => this.#tidy()).catch(() => undefined), REMOVE_EVERY_MS);
    this.#sweep.unref();
  }

  /**
   * Opens the log for appending, and signs what a killed run has left unsigned. A log without a
   * chain gets one.
   */
  static async open(path: string, given: AuditOptions): Promise<AuditLog> {
    const options: Known = {
      keepBytes: KEEP_BYTES,
      keepMs: Number.POSITIVE_INFINITY,
      fileBytes: FILE_BYTES,
      signAfterMs: SIGN_AFTER_MS,
      late: () => undefined,
      tell: () => undefined,
      ...given,
    };
    const { files, torn } = await AuditFiles.open(path, options.copy === undefined);
    const head = await options.heads.read();
    const { end, lost, replaced } = await findEnd(() => files.list(), head, auditKeys(options.signer.pem));
    const began = (await firstLineOf(path))?.at ?? options.clock();
    const log = new AuditLog(options, files, end, began);
    log.#head = head;
    const isNew = end.seq === 0;
    const unchained = isNew ? await sealsOf(files.list()) : [];
    await log.#sign({
      reason: isNew ? 'begin' : 'start',
      ...(options.begins !== undefined && options.begins > end.first && { first: options.begins }),
      ...(end.unsigned > 0 && { unsigned: end.unsigned }),
      ...(torn > 0 && { torn }),
      ...(lost && { lost }),
      ...(replaced && { replaced }),
      ...(unchained.length > 0 && { unchained }),
    });
    if (replaced) {
      options.tell(
        `line ${replaced.seq} of the audit log is not the signed checkpoint that the store has kept: the log was changed and made again while the controller was stopped; run "mirrorplane audit verify"`,
      );
    }
    if (lost) {
      options.tell(
        `the audit log has lost its lines ${lost.from} to ${lost.to}: it was cut short or is an older copy; run "mirrorplane audit verify"`,
      );
    }
    await log.#tidy();
    return log;
  }

  /** Resolves when the entry is on the disk. @param draft without `time`, the current time is used */
  append(draft: AuditDraft): Promise<void> {
    const entry = { time: this.#now(), ...draft };
    return new Promise((resolve, reject) => {
      this.#waiting.push({ entry, done: (error) => (error === undefined ? resolve() : reject(error)) });
      void this.#serial.run(() => this.#flush());
    });
  }

  /** @throws ProblemError UNAVAILABLE while the log cannot be written: nothing may change unseen */
  requireWritable(): void {
    if (this.#failure.reason !== undefined) {
      const why = `the audit log cannot be written (${this.#failure.reason}), so nothing may change`;
      throw new ProblemError('UNAVAILABLE', `${why}: make room or mend the disk of the controller, and try again`);
    }
  }

  /** Adds lines for committed decisions of a controller that was killed before it wrote them. */
  async recover(
    unaudited: readonly (Omit<AuditDraft, 'outcome'> & { revision: number; events?: unknown })[],
  ): Promise<void> {
    if (unaudited.length === 0) {
      return;
    }
    const key = ({ revision, action, resource }: Pick<AuditEntry, 'revision' | 'action' | 'resource'>) =>
      `${revision} ${action} ${resource}`;
    const done = (await this.read(RECOVER_LINES)).filter(({ outcome, unproven }) => outcome === 'done' && !unproven);
    const written = new Set(done.map(key));
    for (const { events: _, ...entry } of unaudited) {
      if (!written.has(key(entry))) {
        await this.append({ ...entry, outcome: 'done' });
      }
    }
  }

  /** The newest entries, in descending order of time. */
  async read(limit: number): Promise<AuditEntry[]> {
    return (await this.page({ limit, wanted: () => true })).entries;
  }

  /**
   * Entries in descending order of time, and where the search ended. One page reads a bounded part
   * of the files, so it may have fewer entries than `limit`, and still not be the last one.
   */
  async page(search: AuditSearch): Promise<AuditPage> {
    await this.#serial.settled();
    const { seq, hash } = this.#end;
    const chain = new Backwards(search.after?.next ?? hash, seq, auditKeys(this.#options.signer.pem));
    return readPage(() => this.#files.list(), search, chain);
  }

  /** Calls `listener` with lines that were written. Returns the function that ends this. */
  onLines(listener: (lines: readonly string[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * The files with lines above a number, the oldest first, as they are between two writes: each ends
   * with a whole line. The caller closes them.
   * @param after 0: all files, also those without a chain
   */
  filesAfter(after: number): Promise<OpenFile[]> {
    return this.#serial.run(() => openFrom(this.#files.list(), after));
  }

  /** The end of the chain. */
  get end(): Readonly<ChainEnd> {
    return this.#end;
  }

  /**
   * Number of the oldest line here, where this controller has never had older ones, and others may
   * have them. Undefined: it has had all.
   */
  get begins(): number | undefined {
    const { begins } = this.#options;
    return begins !== undefined && this.#end.first <= begins ? this.#end.first : undefined;
  }

  /** The newest signed checkpoint: the line that the store has too. */
  get head(): string | undefined {
    return this.#head;
  }

  /** Certificates of the authorities that have signed, PEM. The first one has signed the newest checkpoint. */
  get authority(): string {
    return this.#authority;
  }

  /** Entries that could not be written since the start. */
  get failures(): number {
    return this.#failure.count;
  }

  /**
   * Signs the end, and closes the log.
   * @returns lines that are not signed, because they could not be: the next start signs them. And
   * entries that are not in the log: those of decisions are added by the next start
   */
  async close(): Promise<{ unsigned: number; unwritten: number }> {
    for (const timer of [this.#signing, this.#retry, this.#sweep]) {
      clearTimeout(timer);
    }
    await this.#serial.run(() => this.#signIfNeeded('close')).catch(() => undefined);
    await this.#heads.settled();
    await this.#files.close();
    return { unsigned: this.#end.unsigned, unwritten: this.#failure.missing };
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0 || this.#failure.isTold) {
      const isRetry = this.#failure.reason !== undefined;
      const owed = this.#failure.owed(this.#now());
      const batch = this.#waiting.splice(0, SIGN_EVERY);
      try {
        await this.#write([...owed, ...batch.map(({ entry }) => entry)]);
      } catch (error) {
        this.#failed(error, batch);
        return;
      }
      for (const { done } of batch) {
        done();
      }
      if (isRetry) {
        this.#failure.over(this.#options.late);
        this.#options.tell('the audit log can be written again');
      }
    }
  }

  /** Nobody is told that what is not on the disk is. Entries of decisions are tried again. */
  #failed(error: unknown, batch: readonly Waiting[]): void {
    const isFirst = this.#failure.reason === undefined;
    const entries = batch.map(({ entry }) => entry);
    this.#failure.add(error, entries, this.#options.clock());
    for (const { done } of batch) {
      done(error);
    }
    if (isFirst) {
      this.#options.tell(`the audit log cannot be written: ${(error as Error).message}`);
    }
    clearTimeout(this.#retry);
    const pause = this.#options.copy === undefined ? RETRY_MS : COPY_RETRY_MS;
    this.#retry = setTimeout(() => void this.#serial.run(() => this.#flush()), pause).unref();
  }

  async #write(entries: readonly Omit<AuditEntry, 'seq' | 'prev'>[]): Promise<void> {
    const age = this.#options.clock() - this.#fileBegan;
    // Without a byte, the first line of a new file could not be written before.
    if (this.#files.size === 0 || this.#files.size > this.#options.fileBytes || age > fileMs(this.#options)) {
      await this.#beginFile();
    }
    const lines: string[] = [];
    let end = this.#end;
    for (const entry of entries) {
      const line = entryLine(end, entry);
      lines.push(line.text);
      end = line.end;
    }
    if (end.unsigned >= SIGN_EVERY) {
      await this.#sign({ reason: 'count' }, lines, end);
      return;
    }
    await this.#put(lines, end);
    if (end.unsigned > 0) {
      this.#signing ??= setTimeout(() => this.#signLater(), this.#options.signAfterMs).unref();
    }
  }

  async #put(lines: readonly string[], end: ChainEnd): Promise<void> {
    await this.#catchUp();
    const { copy } = this.#options;
    if (copy === undefined) {
      await this.#files.append(lines);
    } else {
      const first = end.seq - lines.length + 1;
      await copy.append(lines.map((line, index) => ({ number: first + index, line })));
      // The lines are acknowledged now, whatever the disk says. The next ones wait for it.
      this.#behind = lines;
      await this.#catchUp().catch((error: unknown) => this.#failed(error, []));
    }
    this.#end = end;
    for (const listener of this.#listeners) {
      listener(lines);
    }
  }

  /** Writes lines that only the copy has. @throws Error of the file system */
  async #catchUp(): Promise<void> {
    if (this.#behind.length > 0) {
      await this.#files.append(this.#behind);
      this.#behind = [];
    }
  }

  #signLater(): void {
    this.#signing = undefined;
    void this.#serial.run(() => this.#signIfNeeded('time')).catch((error: unknown) => this.#failed(error, []));
  }

  async #signIfNeeded(reason: 'time' | 'close'): Promise<void> {
    if (this.#end.unsigned > 0) {
      await this.#sign({ reason });
    }
  }

  /** Writes lines and a checkpoint behind them, and then the checkpoint to the store. */
  async #sign(details: CheckpointDetails, lines: readonly string[] = [], before = this.#end): Promise<void> {
    const { pem } = this.#options.signer;
    const { text, end } = await checkpointLine(before, this.#options.signer, this.#now(), details);
    await this.#put([...lines, text], end);
    clearTimeout(this.#signing);
    this.#signing = undefined;
    this.#head = text;
    this.#authority = pem;
    void this.#heads
      .run(() => this.#options.heads.write(text))
      .catch((error: unknown) => this.#options.tell(`the head of the audit log is not in the store: ${error}`));
  }

  /** A file begins with a checkpoint, so that what is before it can be removed. */
  async #beginFile(): Promise<void> {
    const full = this.#files.size;
    if (full > 0) {
      await this.#files.beginNext();
    }
    await this.#sign({ reason: 'rotation', ...(full > 0 && { full }) });
    this.#fileBegan = this.#options.clock();
    await this.#tidy();
  }

  /** Removes files that are too old or too many. The log says so before they are gone. */
  async #tidy(): Promise<void> {
    const list = await asSigned(this.#files.list(), auditKeys(this.#options.signer.pem));
    const surplus = surplusOf(list, { ...this.#options }, this.#options.clock());
    if (surplus.length === 0) {
      return;
    }
    const first = list[list.length - surplus.length - 1]!.first ?? this.#end.first;
    const entry = entryLine(this.#end, { time: this.#now(), ...removal(this.#end.first, first, surplus) });
    await this.#sign({ reason: 'removal', first }, [entry.text], entry.end);
    await this.#files.remove(surplus);
  }

  #now(): string {
    return new Date(this.#options.clock()).toISOString();
  }
}

function removal(from: number, to: number, files: readonly LogFile[]): AuditDraft {
  const what = to > from ? `lines ${from} to ${to - 1}` : 'lines without a chain';
  return {
    actor: 'controller',
    actorKind: 'controller',
    address: 'controller',
    action: 'remove',
    resource: 'audit/',
    outcome: 'done',
    detail: `${what} in ${files.length} files, by age or size`,
  };
}
