/** The known domains of libvirt: their last readings, and the events since then. Pure. */
import type { GuestState } from '@mirrorplane/contract';
import type { Domain } from './libvirt-domain.ts';
import { type Claim, type DeviceIndex, type Knowledge, tie } from './provider.ts';

/** The last reading of a domain. */
interface Known {
  domain: Domain;
  /** The claims of the domain by ifindex. */
  tied: ReadonlyMap<number, Claim>;
  /** Number of the reading. An older reading does not replace a newer one. */
  asked: number;
}

/** The state of a guest from an event, until the domain is read again. */
interface Told {
  guest: GuestState;
  /** Readings up to this number are older than the event. */
  asked: number;
}

export class LibvirtDomains {
  readonly #known = new Map<string, Known>();
  readonly #told = new Map<string, Told>();
  #asked = 0;

  /** Number of the next reading. */
  get next(): number {
    return this.#asked + 1;
  }

  /** Begins a reading. @returns its number */
  begin(): number {
    return ++this.#asked;
  }

  /** UUID of a known domain. @param name its name or UUID */
  uuidOf(name: string): string | undefined {
    if (this.#known.has(name)) {
      return name;
    }
    return [...this.#known.values()].find(({ domain }) => domain.name === name)?.domain.uuid;
  }

  /** An event gives the state of a guest. */
  tell(uuid: string, guest: GuestState): void {
    this.#told.set(uuid, { guest, asked: this.#asked });
  }

  /**
   * A domain was read.
   * @param asked number of the reading
   * @param there the devices when it began
   */
  add(domain: Domain, asked: number, there: DeviceIndex): void {
    const last = this.#known.get(domain.uuid);
    if (last !== undefined && last.asked > asked) {
      return;
    }
    this.#known.set(domain.uuid, { domain, asked, tied: tie(domain.claims, there, last?.tied) });
    if (this.#told.has(domain.uuid) && this.#told.get(domain.uuid)!.asked < asked) {
      this.#told.delete(domain.uuid);
    }
  }

  /** A reading found no such domain. */
  remove(name: string, asked: number): void {
    const uuid = this.uuidOf(name);
    if (uuid !== undefined && this.#known.get(uuid)!.asked < asked) {
      this.#known.delete(uuid);
      this.#told.delete(uuid);
    }
  }

  /** These are all domains. A domain that was read since then may be newer than the list. */
  keep(uuids: ReadonlySet<string>, asked: number): void {
    for (const uuid of [...this.#known.keys()].filter((known) => !uuids.has(known))) {
      this.remove(uuid, asked);
    }
  }

  /** Whether the domain runs, and all its devices are known. @param present ifindexes of devices */
  isComplete(uuid: string, present: ReadonlySet<number>): boolean {
    const { domain, tied } = this.#known.get(uuid) ?? {};
    const count = [...(tied?.keys() ?? [])].filter((ifindex) => present.has(ifindex)).length;
    return domain?.active === true && count === domain.claims.length;
  }

  /** All claims and problems. Running domains come first. */
  knowledge(): Knowledge {
    const claims = new Map<number, Claim>();
    const all = [...this.#known.values()].sort((a, b) => Number(b.domain.active) - Number(a.domain.active));
    for (const { domain, tied } of all) {
      const told = this.#told.get(domain.uuid);
      for (const [ifindex, claim] of tied) {
        if (!claims.has(ifindex)) {
          claims.set(ifindex, told === undefined ? claim : { ...claim, guest: told.guest });
        }
      }
    }
    return { claims, problems: all.flatMap(({ domain }) => domain.problems) };
  }
}
