/** The disk of a host. What was not synced may be lost when the host loses its power. */
import type { Random } from '../core/random.ts';
import type { Scheduler } from '../core/scheduler.ts';

/** A file, with or without a name. */
export interface File {
  content: string;
  /** What is on the disk itself. */
  synced: string;
}

export class Disk {
  readonly #random: Random;
  readonly #scheduler: Scheduler;
  /** As programs see it. */
  #names = new Map<string, File>();
  /** As it is on the disk itself. */
  #durable = new Map<string, File>();
  /** The longest pause before a step, milliseconds. */
  slowness = 3;
  /** It says that it has synced what it has not. */
  lies = false;
  /** It took no more at some time. */
  wasFull = false;
  #isFull = false;

  constructor(random: Random, scheduler: Scheduler) {
    this.#random = random;
    this.#scheduler = scheduler;
  }

  /** It takes no more. */
  get isFull(): boolean {
    return this.#isFull;
  }

  set isFull(isFull: boolean) {
    this.#isFull = isFull;
    this.wasFull ||= isFull;
  }

  /** Waits for the turn of a step. */
  turn(): Promise<void> {
    return this.#scheduler.pause(this.#random.between(0, this.slowness));
  }

  create(path: string): File {
    const file = { content: '', synced: '' };
    this.#names.set(path, file);
    return file;
  }

  /** @throws Error ENOSPC, after a part is written */
  write(file: File, content: string): void {
    if (this.#isFull) {
      file.content = content.slice(0, content.length >> 1);
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    }
    file.content = content;
  }

  sync(file: File): void {
    if (!this.lies) {
      file.synced = file.content;
    }
  }

  rename(from: string, to: string): void {
    const file = this.#names.get(from);
    if (!file) {
      throw missing(from);
    }
    this.#names.delete(from);
    this.#names.set(to, file);
  }

  remove(path: string): void {
    this.#names.delete(path);
  }

  /** @throws Error ENOENT */
  read(path: string): string {
    const file = this.#names.get(path);
    if (!file) {
      throw missing(path);
    }
    return file.content;
  }

  /** What would be read after a loss of power in the worst case. Undefined: nothing. */
  readDurable(path: string): string | undefined {
    return this.#durable.get(path)?.synced;
  }

  /** Names of the files in a folder. */
  list(folder: string): string[] {
    const prefix = `${folder}/`;
    return [...this.#names.keys()].filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
  }

  /** Makes the names in a folder durable. */
  syncFolder(folder: string): void {
    if (this.lies) {
      return;
    }
    const isHere = (path: string) => path.startsWith(`${folder}/`);
    this.#durable = new Map([
      ...[...this.#durable].filter(([path]) => !isHere(path)),
      ...[...this.#names].filter(([path]) => isHere(path)),
    ]);
  }

  /** The host loses its power. Each name and each content that is not synced is kept by chance. */
  losePower(): void {
    const names = new Map<string, File>();
    for (const path of new Set([...this.#durable.keys(), ...this.#names.keys()])) {
      const [before, after] = [this.#durable.get(path), this.#names.get(path)];
      const file = before === after || this.#random.chance(0.5) ? before : after;
      if (file) {
        const lost = ['', file.content.slice(0, file.content.length >> 1), file.content];
        const content = file.synced === file.content ? file.content : (this.#random.pick([...lost, file.synced]) ?? '');
        names.set(path, { content, synced: content });
      }
    }
    this.#names = names;
    this.#durable = new Map(names);
  }

  /** A disk that is new. */
  wipe(): void {
    this.#names.clear();
    this.#durable.clear();
  }

  /** A state of the disk, to return to with `restore`. */
  snapshot(): ReadonlyMap<string, string> {
    return new Map([...this.#durable].map(([path, { synced }]) => [path, synced]));
  }

  /** Returns to an earlier state, as from a backup. */
  restore(snapshot: ReadonlyMap<string, string>): void {
    this.#names = new Map([...snapshot].map(([path, content]) => [path, { content, synced: content }]));
    this.#durable = new Map(this.#names);
  }
}

function missing(path: string): Error {
  return Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), { code: 'ENOENT' });
}
