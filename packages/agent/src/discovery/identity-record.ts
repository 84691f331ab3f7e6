/**
 * Remembers, in the data folder, what identity providers said last. An agent that starts while libvirt is down, or
 * before it could be read, must not take down the captures that its predecessor left running.
 */
import { readFile } from 'node:fs/promises';
import { Coalesced, replaceFile } from '@mirrorplane/base';
import type { Logger } from '../log.ts';
import type { Link } from '../netlink/link.ts';
import type { Claim } from './provider.ts';

/** A claim that was tied to a device. */
interface Entry {
  provider: string;
  ifindex: number;
  claim: Claim;
}

/** Another one after each start of the machine: an ifindex means nothing beyond it. */
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

  /** Reads the file; one that is missing, unreadable, or of before the last start of the machine counts as empty. */
  static async load(file: string, log: Logger): Promise<IdentityRecord> {
    const boot = (await readFile(BOOT_ID, 'utf8')).trim();
    let entries: Entry[] = [];
    try {
      const stored = JSON.parse(await readFile(file, 'utf8'));
      if (stored.boot === boot && Array.isArray(stored.entries)) {
        entries = stored.entries.filter(isEntry);
      }
    } catch {
      // Nothing was stored yet, or nothing that is ours.
    }
    return new IdentityRecord({ file, log, boot, entries });
  }

  /** What a provider said of a device; nothing if another device has the ifindex or the name. */
  find(provider: string, { ifindex, name }: Link): Claim | undefined {
    const found = this.#entries.find((entry) => entry.provider === provider && entry.ifindex === ifindex);
    return found?.claim.device === name ? found.claim : undefined;
  }

  /** Replaces what a provider said, and stores it soon. */
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
