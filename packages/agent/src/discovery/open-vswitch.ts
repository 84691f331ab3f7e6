/**
 * The identity provider `open-vswitch`: finds the NIC of a port by `external_ids`, written by the
 * software that plugged the port.
 */
import { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../log.ts';
import type { Link } from '../netlink/link.ts';
import { Backoff } from './backoff.ts';
import { COLUMNS, opened, readInterfaces } from './open-vswitch-rows.ts';
import { OvsdbMonitor, type Tables } from './ovsdb.ts';
import { type DeviceIndex, deviceIndex, type IdentityProvider, type Knowledge, tie } from './provider.ts';

/** The default socket of the Open vSwitch database. */
export const OVSDB_SOCKET = '/var/run/openvswitch/db.sock';

/** The provider, based on the database's own protocol. */
export class OpenVswitchProvider extends EventEmitter<{ change: [] }> implements IdentityProvider {
  readonly name = 'open-vswitch';
  readonly #log: Logger;
  readonly #auto: boolean;
  readonly #socket: string;
  readonly #backoff = new Backoff(() => this.#connect());
  #monitor: OvsdbMonitor | undefined;
  #there: DeviceIndex = new Map();
  #tables: Tables | undefined;
  #knowledge: Knowledge | undefined;
  #away = false;
  #closed = false;

  /**
   * @param options.socket path of the database's socket; `auto`: the default one, as soon as it
   * exists
   */
  constructor({ socket, log }: { socket: string; log: Logger }) {
    super();
    this.#auto = socket === 'auto';
    this.#socket = this.#auto ? OVSDB_SOCKET : socket;
    this.#log = log;
  }

  knowledge(): Knowledge | undefined {
    return this.#knowledge;
  }

  look(links: readonly Link[]): void {
    this.#there = deviceIndex(links);
    if (this.#tables !== undefined) {
      this.#publish(this.#tables);
    }
  }

  open(): void {
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    this.#backoff.close();
    this.#monitor?.close();
    this.removeAllListeners();
  }

  #connect(): void {
    if (this.#closed) {
      return;
    }
    if (this.#auto && !existsSync(this.#socket)) {
      this.#backoff.later();
      return;
    }
    this.#monitor = new OvsdbMonitor({
      socket: this.#socket,
      columns: COLUMNS,
      changed: (tables) => this.#changed(tables),
      ended: (why) => this.#lost(why),
    });
  }

  #changed(tables: Tables): void {
    if (this.#away) {
      this.#log.info({ socket: this.#socket }, 'open vswitch is read again');
    }
    this.#away = false;
    this.#backoff.reset();
    this.#tables = tables;
    this.#publish(tables);
  }

  #lost(why: string): void {
    if (!this.#away) {
      this.#log.warn({ socket: this.#socket, reason: why }, 'open vswitch cannot be read; its last known state holds');
    }
    this.#away = true;
    this.#backoff.later();
  }

  #publish(tables: Tables): void {
    const { claims, problems } = readInterfaces(tables);
    const knowledge = { claims: tie(claims, opened(claims, this.#there)), problems };
    if (isDeepStrictEqual(knowledge, this.#knowledge)) {
      return;
    }
    this.#knowledge = knowledge;
    this.emit('change');
  }
}
