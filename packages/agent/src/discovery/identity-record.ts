/**
 * Stores the last reports of identity providers in the data folder. An agent that starts before
 * libvirt can be read must not remove the captures that still run.
 */
import { readFile } from 'node:fs/promises';
import { Coalesced, replaceFile } from '@mirrorplane/base';
import type { Logger } from '../log.ts';
import type { Link } from '../netlink/link.ts';
import type { Claim } from './provider.ts';

/** A claim with its device. */
interface Entry {
  provider: string;
  ifindex: number;
  claim: Claim;
}

/** Changes with each start of the machine. After that, an ifindex may belong to another device. */
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

export class IdentityRecord {
  readonly #file: string;
  readonly #log: Logger;
  readonly #boot: string;
  #entries: Entry[];
  readonly #writing = new Coalesced(() => this.#write());

  private constructor(parts: { file: string; log: Logger; boot: string; entries: Entry[] }) {
    this.#file = parts.file;
    this.#log = parts.log;
    this.#boot = parts.boot;
    this.#entries = parts.entries;
  }

  /**
   * Reads the file. A file that is missing, unreadable, or older than the last start of the machine
   * counts as empty.
   */
  static async load(file: string, log: Logger): Promise<IdentityRecord> {
    const boot = (await readFile(BOOT_ID, 'utf8')).trim();
    let entries: Entry[] = [];
    try {
      const stored = JSON.parse(await readFile(file, 'utf8'));
      if (stored.boot === boot && Array.isArray(stored.entries)) {
        entries = stored.entries.filter(isEntry);
      }
    } catch {
      // The file does not exist yet, or has another format.
    }
    return new IdentityRecord({ file, log, boot, entries });
  }

  /**
   * The stored claim of a provider on a device. Undefined if another device has the ifindex or the
   * name.
   */
  find(provider: string, { ifindex, name }: Link): Claim | undefined {
    const found = this.#entries.find((entry) => entry.provider === provider && entry.ifindex === ifindex);
    return found?.claim.device === name ? found.claim : undefined;
  }

  /** Replaces the report of a provider, and stores it soon. */
  keep(provider: string, claims: ReadonlyMap<number, Claim>): void {
    const others = this.#entries.filter((entry) => entry.provider !== provider);
    this.#entries = [...others, ...[...claims].map(([ifindex, claim]) => ({ provider, ifindex, claim }))];
    void this.#writing.request();
  }

  /** Resolves when everything is stored. */
  async settled(): Promise<void> {
    await this.#writing.settled();
  }

  async #write(): Promise<void> {
    try {
      await replaceFile(this.#file, JSON.stringify({ boot: this.#boot, entries: this.#entries }));
    } catch (error) {
      this.#log.warn({ err: error }, 'identities could not be stored');
    }
  }
}

function isEntry(entry: Partial<Entry> | null): entry is Entry {
  const claim = entry?.claim;
  const whole = claim !== undefined && ('identity' in claim || 'error' in claim);
  return typeof entry?.provider === 'string' && typeof entry.ifindex === 'number' && whole;
}
