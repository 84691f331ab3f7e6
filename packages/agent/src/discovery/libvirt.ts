/**
 * The identity provider `libvirt`: finds the libvirt domain and NIC of a device, and whether the
 * guest runs here.
 */
import { EventEmitter } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { Coalesced } from '@mirrorplane/base';
import { type Logger, reason } from '../log.ts';
import type { Link } from '../netlink/link.ts';
import { LibvirtConnection } from './libvirt-connection.ts';
import { LibvirtDomains } from './libvirt-domains.ts';
import { parseEvent } from './libvirt-events.ts';
import { type DeviceIndex, deviceIndex, type IdentityProvider, type Knowledge } from './provider.ts';
import { ReadQueue } from './read-queue.ts';
import { Virsh } from './virsh.ts';

/** The URI for `auto`. */
export const SYSTEM_URI = 'qemu:///system';
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
  readonly #uri: string;
  readonly #virsh: Virsh;
  readonly #connection: LibvirtConnection;
  readonly #domains = new LibvirtDomains();
  #there: DeviceIndex = new Map();
  #knowledge: Knowledge | undefined;
  readonly #queue = new ReadQueue((name) => this.#readOne(name), PARALLEL);
  readonly #all = new Coalesced(() => this.#readEverything());
  #newDevices = false;
  #complaint = '';
  #closed = false;

  constructor({ uri, log }: LibvirtOptions) {
    super();
    const auto = uri === 'auto';
    this.#uri = auto ? SYSTEM_URI : uri;
    this.#log = log;
    this.#virsh = new Virsh(this.#uri);
    this.#connection = new LibvirtConnection({
      virsh: this.#virsh,
      auto,
      connected: () => this.#connected(),
      lost: (why) => this.#unreadable(why),
      line: (line) => this.#event(line),
    });
  }

  knowledge(): Knowledge | undefined {
    return this.#knowledge;
  }

  look(links: readonly Link[]): void {
    const before = this.#there;
    this.#there = deviceIndex(links);
    const fresh = links.some((link) => MADE_BY_LIBVIRT.has(link.linkType) && before.get(link.name) !== link.ifindex);
    if (!fresh || !this.#connection.connected || this.#newDevices) {
      return;
    }
    // libvirt creates the device long before it reports the domain. A reading now lets the capture
    // see the first packet.
    this.#newDevices = true;
    for (const after of NEW_DEVICE_MS) {
      this.#connection.later(after, () => void this.#readNew());
    }
  }

  open(): void {
    this.#connection.open();
  }

  close(): void {
    this.#closed = true;
    this.#connection.close();
    this.#queue.close();
    this.removeAllListeners();
  }

  #connected(): void {
    void this.#readAll();
    for (const after of AGAIN_AFTER_MS) {
      this.#connection.later(after, () => void this.#readAll());
    }
    this.#connection.later(FULL_READ_INTERVAL_MS, () => this.#refresh());
  }

  #refresh(): void {
    void this.#readAll();
    this.#connection.later(FULL_READ_INTERVAL_MS, () => this.#refresh());
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

  #event(line: string): void {
    const event = parseEvent(line);
    if (event === undefined || this.#closed) {
      return;
    }
    const uuid = this.#domains.uuidOf(event.domain);
    if (uuid !== undefined && event.guest !== undefined) {
      this.#domains.tell(uuid, event.guest);
      this.#publish();
    }
    const name = uuid ?? event.domain;
    if (!PLAIN_NAME.test(name)) {
      return void this.#readAll();
    }
    this.#queue.add(name);
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
    }
  }

  /** Reads running domains without a known device. */
  async #readNew(): Promise<void> {
    this.#newDevices = false;
    const present = new Set(this.#there.values());
    try {
      for (const uuid of await this.#virsh.uuids('active')) {
        if (!this.#domains.isComplete(uuid, present)) {
          this.#queue.add(uuid);
        }
      }
    } catch (error) {
      this.#unreadable(reason(error));
    }
  }

  #readAll(): Promise<void> {
    return this.#all.request();
  }

  async #readEverything(): Promise<void> {
    if (!this.#connection.connected) {
      return;
    }
    const asked = this.#domains.next;
    try {
      const uuids = new Set(await this.#virsh.uuids('all'));
      this.#domains.keep(uuids, asked);
      const failed = await this.#read([...uuids]);
      if (this.#closed) {
        return;
      }
      this.#publish();
      this.#connection.works();
      if (failed) {
        return this.#connection.later(READ_AGAIN_MS, () => void this.#readAll());
      }
      if (this.#complaint !== '') {
        this.#log.info({ uri: this.#uri }, 'libvirt is read again');
      }
      this.#complaint = '';
    } catch (error) {
      this.#unreadable(reason(error));
      this.#connection.later(READ_AGAIN_MS, () => void this.#readAll());
    }
  }

  /** Reads these domains. Resolves to true if libvirt could not report some of them. */
  async #read(names: readonly string[]): Promise<boolean> {
    const asked = this.#domains.begin();
    const there = this.#there;
    const { domains, gone, failed } = await this.#virsh.domains(names);
    if (this.#closed) {
      return false;
    }
    for (const domain of domains) {
      this.#domains.add(domain, asked, there);
    }
    for (const name of gone) {
      this.#domains.remove(name, asked);
    }
    for (const [name, why] of failed) {
      this.#unreadable(`${name}: ${why}`);
    }
    return failed.size > 0;
  }

  /** Combines all readings. Running domains come first. */
  #publish(): void {
    const knowledge = this.#domains.knowledge();
    if (isDeepStrictEqual(knowledge, this.#knowledge)) {
      return;
    }
    this.#knowledge = knowledge;
    this.emit('change');
  }
}
