/**
 * The identity provider `libvirt`: finds the libvirt domain and NIC of a device, and whether the
 * guest runs here.
 */
import { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { Coalesced } from '@mirrorplane/base';
import type { GuestState } from '@mirrorplane/contract';
import { type Logger, reason } from '../log.ts';
import type { Link } from '../netlink/link.ts';
import { Backoff } from './backoff.ts';
import type { Domain } from './libvirt-domain.ts';
import { parseEvent } from './libvirt-events.ts';
import { type Claim, type DeviceIndex, deviceIndex, type IdentityProvider, type Knowledge, tie } from './provider.ts';
import { Virsh } from './virsh.ts';

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

/** The URI for `auto`. */
export const SYSTEM_URI = 'qemu:///system';
/** One of these sockets exists if a libvirt daemon runs or is started on demand. */
const SOCKETS = ['/run/libvirt/libvirt-sock-ro', '/run/libvirt/virtqemud-sock-ro'];
/**
 * Milliseconds after connecting at which everything is read again. `virsh` does not report when it
 * has begun to listen.
 */
const AGAIN_AFTER_MS = [300, 1000, 3000];
/** Milliseconds between readings without an event, because some changes have no event. */
const FULL_READ_INTERVAL_MS = 60_000;
/** Milliseconds before a failed reading is repeated. */
const READ_AGAIN_MS = 1000;
/** Milliseconds after a new device at which its domain is searched. */
const NEW_DEVICE_MS = [5, 250];
/** Kernel kinds of devices that libvirt makes for NICs. */
const MADE_BY_LIBVIRT = new Set(['tun', 'macvtap']);
/**
 * Number of domains that are read in parallel. A domain that libvirt has locked must not delay the
 * others.
 */
const PARALLEL = 4;
/** A name that needs no quotes in a virsh command. */
const PLAIN_NAME = /^[\w][\w.+-]*$/;

/** How to reach libvirt. */
export interface LibvirtOptions {
  /** `auto`: the system's libvirt, as soon as it exists. */
  uri: string;
  log: Logger;
}

/**
 * The provider, based on `virsh`. An event gives the place of the guest at once. Everything else is
 * then read from libvirt.
 */
export class LibvirtProvider extends EventEmitter<{ change: [] }> implements IdentityProvider {
  readonly name = 'libvirt';
  readonly #log: Logger;
  readonly #auto: boolean;
  readonly #uri: string;
  readonly #virsh: Virsh;
  readonly #backoff = new Backoff(() => this.#connect());
  #there: DeviceIndex = new Map();
  #known = new Map<string, Known>();
  #told = new Map<string, Told>();
  #knowledge: Knowledge | undefined;
  #asked = 0;
  #connected = false;
  #wanted = new Set<string>();
  #reading = new Set<string>();
  readonly #all = new Coalesced(() => this.#readEverything());
  #newDevices = false;
  #timers = new Set<NodeJS.Timeout>();
  #complaint = '';
  #closed = false;

  constructor({ uri, log }: LibvirtOptions) {
    super();
    this.#auto = uri === 'auto';
    this.#uri = this.#auto ? SYSTEM_URI : uri;
    this.#log = log;
    this.#virsh = new Virsh(this.#uri);
  }

  knowledge(): Knowledge | undefined {
    return this.#knowledge;
  }

  look(links: readonly Link[]): void {
    const before = this.#there;
    this.#there = deviceIndex(links);
    const fresh = links.some((link) => MADE_BY_LIBVIRT.has(link.linkType) && before.get(link.name) !== link.ifindex);
    if (!fresh || !this.#connected || this.#newDevices) {
      return;
    }
    // libvirt creates the device long before it reports the domain. A reading now lets the capture
    // see the first packet.
    this.#newDevices = true;
    for (const after of NEW_DEVICE_MS) {
      this.#later(after, () => void this.#readNew());
    }
  }

  open(): void {
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    this.#backoff.close();
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    this.#virsh.close();
    this.removeAllListeners();
  }

  #connect(): void {
    if (this.#closed) {
      return;
    }
    if (this.#auto && !SOCKETS.some((path) => existsSync(path))) {
      this.#backoff.later();
      return;
    }
    let alive = true;
    this.#virsh.listen(
      (line) => this.#event(line),
      (why) => {
        if (alive) {
          this.#lost(why);
        }
        alive = false;
      },
    );
    this.#connected = true;
    void this.#readAll();
    for (const after of AGAIN_AFTER_MS) {
      this.#later(after, () => void this.#readAll());
    }
    this.#later(FULL_READ_INTERVAL_MS, () => this.#refresh());
  }

  #refresh(): void {
    void this.#readAll();
    this.#later(FULL_READ_INTERVAL_MS, () => this.#refresh());
  }

  #lost(why: string): void {
    this.#connected = false;
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    this.#timers.clear();
    if (this.#closed) {
      return;
    }
    this.#virsh.close();
    this.#unreadable(why);
    this.#backoff.later();
  }

  /** Logs a failure once, until libvirt was read successfully. */
  #unreadable(why: string): void {
    if (this.#closed) {
      return;
    }
    if (this.#complaint === '') {
      this.#log.warn({ uri: this.#uri, reason: why }, 'libvirt cannot be read; its last known state holds');
    }
    this.#complaint = why;
  }

  #later(after: number, what: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#connected) {
        what();
      }
    }, after);
    timer.unref();
    this.#timers.add(timer);
  }

  #event(line: string): void {
    const event = parseEvent(line);
    if (event === undefined || this.#closed) {
      return;
    }
    const uuid = this.#uuidOf(event.domain);
    if (uuid !== undefined && event.guest !== undefined) {
      this.#told.set(uuid, { guest: event.guest, asked: this.#asked });
      this.#publish();
    }
    const name = uuid ?? event.domain;
    if (!PLAIN_NAME.test(name)) {
      return void this.#readAll();
    }
    this.#wanted.add(name);
    this.#work();
  }

  #uuidOf(name: string): string | undefined {
    return [...this.#known.values()].find(({ domain }) => domain.name === name)?.domain.uuid;
  }

  /** Reads the requested domains, several in parallel, but each domain by one process only. */
  #work(): void {
    for (const name of this.#wanted) {
      if (this.#closed || this.#reading.size >= PARALLEL) {
        return;
      }
      if (this.#reading.has(name)) {
        continue;
      }
      this.#wanted.delete(name);
      this.#reading.add(name);
      void this.#readOne(name);
    }
  }

  async #readOne(name: string): Promise<void> {
    try {
      await this.#read([name]);
      if (this.#knowledge !== undefined && !this.#closed) {
        this.#publish();
      }
    } catch (error) {
      // Everything is read again when libvirt is back.
      this.#unreadable(reason(error));
    } finally {
      this.#reading.delete(name);
      this.#work();
    }
  }

  /** Reads running domains without a known device. */
  async #readNew(): Promise<void> {
    this.#newDevices = false;
    const present = new Set(this.#there.values());
    const complete = ({ domain, tied }: Known) =>
      domain.active && [...tied.keys()].filter((ifindex) => present.has(ifindex)).length === domain.claims.length;
    try {
      for (const uuid of await this.#virsh.uuids('active')) {
        const known = this.#known.get(uuid);
        if (known === undefined || !complete(known)) {
          this.#wanted.add(uuid);
        }
      }
      this.#work();
    } catch (error) {
      this.#unreadable(reason(error));
    }
  }

  #readAll(): Promise<void> {
    return this.#all.request();
  }

  async #readEverything(): Promise<void> {
    if (!this.#connected) {
      return;
    }
    const asked = this.#asked + 1;
    try {
      const uuids = new Set(await this.#virsh.uuids('all'));
      // A domain that was read after the list may be newer than the list.
      for (const [uuid, known] of this.#known) {
        if (!uuids.has(uuid) && known.asked < asked) {
          this.#forget(uuid);
        }
      }
      const failed = await this.#read([...uuids]);
      if (this.#closed) {
        return;
      }
      this.#publish();
      this.#backoff.reset();
      if (failed) {
        return this.#later(READ_AGAIN_MS, () => void this.#readAll());
      }
      if (this.#complaint !== '') {
        this.#log.info({ uri: this.#uri }, 'libvirt is read again');
      }
      this.#complaint = '';
    } catch (error) {
      this.#unreadable(reason(error));
      this.#later(READ_AGAIN_MS, () => void this.#readAll());
    }
  }

  /** Reads these domains. Resolves to true if libvirt could not report some of them. */
  async #read(names: readonly string[]): Promise<boolean> {
    const asked = ++this.#asked;
    const there = this.#there;
    const { domains, gone, failed } = await this.#virsh.domains(names);
    if (this.#closed) {
      return false;
    }
    for (const domain of domains) {
      this.#take(domain, asked, there);
    }
    for (const name of gone) {
      const uuid = this.#known.has(name) ? name : this.#uuidOf(name);
      if (uuid !== undefined && this.#known.get(uuid)!.asked < asked) {
        this.#forget(uuid);
      }
    }
    for (const [name, why] of failed) {
      this.#unreadable(`${name}: ${why}`);
    }
    return failed.size > 0;
  }

  #forget(uuid: string): void {
    this.#known.delete(uuid);
    this.#told.delete(uuid);
  }

  #take(domain: Domain, asked: number, there: DeviceIndex): void {
    const last = this.#known.get(domain.uuid);
    if (last !== undefined && last.asked > asked) {
      return;
    }
    this.#known.set(domain.uuid, { domain, asked, tied: tie(domain.claims, there, last?.tied) });
    if (this.#told.has(domain.uuid) && this.#told.get(domain.uuid)!.asked < asked) {
      this.#told.delete(domain.uuid);
    }
  }

  /** Combines all readings. Running domains come first. */
  #publish(): void {
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
    const knowledge = { claims, problems: all.flatMap(({ domain }) => domain.problems) };
    if (isDeepStrictEqual(knowledge, this.#knowledge)) {
      return;
    }
    this.#knowledge = knowledge;
    this.emit('change');
  }
}
