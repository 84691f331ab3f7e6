/**
 * Remembers, in the data folder, which neighbour entries are ours, so that they can be taken back.
 */
import { readFile, rm } from 'node:fs/promises';
import { replaceFile } from '@mirrorplane/base';

/** A neighbour entry: an IPv4 address behind a device. */
export interface NeighbourRef {
  ifindex: number;
  address: string;
}

const same = (a: NeighbourRef) => (b: NeighbourRef) => a.ifindex === b.ifindex && a.address === b.address;

/** The list of our entries, written to the file before the kernel is told. */
export class NeighbourRecord {
  readonly #file: string;
  #entries: NeighbourRef[];

  private constructor(file: string, entries: NeighbourRef[]) {
    this.#file = file;
    this.#entries = entries;
  }

  /** Reads the file; one that is missing or unreadable counts as empty. */
  static async load(file: string): Promise<NeighbourRecord> {
    const content = await readFile(file, 'utf8').catch(() => '[]');
    let entries: unknown = [];
    try {
      entries = JSON.parse(content);
    } catch {
      // A torn file cannot happen (it is renamed into place); a foreign one is not ours to
      // understand.
    }
    const valid = (Array.isArray(entries) ? entries : []).filter(
      (entry): entry is NeighbourRef => typeof entry?.ifindex === 'number' && typeof entry?.address === 'string',
    );
    return new NeighbourRecord(file, valid);
  }

  all(): readonly NeighbourRef[] {
    return this.#entries;
  }

  async add(ref: NeighbourRef): Promise<void> {
    if (this.#entries.some(same(ref))) {
      return;
    }
    this.#entries = [...this.#entries, ref];
    await this.#save();
  }

  async remove(ref: NeighbourRef): Promise<void> {
    if (!this.#entries.some(same(ref))) {
      return;
    }
    this.#entries = this.#entries.filter((entry) => !same(ref)(entry));
    await this.#save();
  }

  async #save(): Promise<void> {
    if (this.#entries.length === 0) {
      await rm(this.#file, { force: true });
    } else {
      await replaceFile(this.#file, JSON.stringify(this.#entries));
    }
  }
}
