/**
 * The identity provider `proxmox`: finds the guest and NIC of a device in the cluster file system
 * of Proxmox VE.
 */
import { existsSync, type FSWatcher, watch } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { GuestState } from '@mirrorplane/contract';
import { type Logger, reason } from '../log.ts';
import type { Link } from '../netlink/link.ts';
import { errno, readBounded } from './bounded-file.ts';
import type { Listing, PolledSource } from './polled-provider.ts';
import type { Claim } from './provider.ts';
import { clusterName, type GuestDevice, guestClaim, guestDevice, parseGuestConfig } from './proxmox-config.ts';

/** Mount point of the cluster file system. */
export const PROXMOX_FOLDER = '/etc/pve';

/** The largest file there, bytes. */
const FILE_LIMIT = 1 << 20;
/** Milliseconds between readings. Changes by other nodes cause no event here. */
const INTERVAL_MS = 1000;
/** The most nodes with folders that are searched for a guest. Clusters are far smaller. */
const MAX_NODES = 256;
const FOLDERS = ['qemu-server', 'lxc'] as const;

interface Found {
  text: string;
  guest: GuestState;
}

/** Reads the folder when its version or the devices of the node have changed. */
export class ProxmoxSource implements PolledSource {
  readonly name = 'proxmox';
  readonly interval = INTERVAL_MS;
  readonly log: Logger;
  readonly #folder: string;
  readonly #auto: boolean;
  readonly #scope: string | undefined;
  #watchers: FSWatcher[] = [];
  #node = '';
  #last: { version: string; devices: string; listing: Listing } | undefined;
  #hinted = false;

  /**
   * @param options.folder the mounted file system; `auto`: the usual one, if it exists
   * @param options.scope replaces the cluster's name in ids
   */
  constructor({ folder, scope, log }: { folder: string; scope?: string | undefined; log: Logger }) {
    this.#auto = folder === 'auto';
    this.#folder = this.#auto ? PROXMOX_FOLDER : folder;
    this.#scope = scope;
    this.log = log;
  }

  concerns({ name }: Link): boolean {
    return guestDevice(name) !== undefined;
  }

  async read(links: readonly Link[]): Promise<Listing | undefined> {
    if (this.#auto && !existsSync(this.#folder)) {
      return undefined;
    }
    const devices = links.flatMap(({ name }) => guestDevice(name) ?? []);
    const names = devices.map(({ name }) => name).join();
    const hinted = this.#hinted;
    this.#hinted = false;
    // The version is read before the files, so changes during the reading cause another reading.
    const version = await this.#version();
    const last = this.#last;
    if (!hinted && last !== undefined && version !== '' && last.version === version && last.devices === names) {
      return last.listing;
    }
    this.#last = undefined;
    // `local` is missing while the file system is not mounted.
    this.#node = basename(await readlink(join(this.#folder, 'local')));
    const listing = { claims: await this.#claims(devices), problems: [] };
    this.#last = { version, devices: names, listing };
    return listing;
  }

  follow(hint: () => void): void {
    if (this.#watchers.length > 0) {
      return;
    }
    for (const folder of FOLDERS) {
      try {
        const watcher = watch(join(this.#folder, 'nodes', this.#node, folder), { persistent: false }, () => {
          this.#hinted = true;
          hint();
        });
        watcher.on('error', () => this.unfollow());
        this.#watchers.push(watcher);
      } catch {
        // The interval triggers readings.
      }
    }
  }

  unfollow(): void {
    for (const watcher of this.#watchers) {
      watcher.close();
    }
    this.#watchers = [];
  }

  /**
   * Changes with every change of a guest's configuration in the cluster. Empty if it is unknown.
   */
  async #version(): Promise<string> {
    try {
      const version = JSON.parse((await readBounded(join(this.#folder, '.version'), FILE_LIMIT)) ?? '{}');
      const { starttime, vmlist, 'corosync.conf': corosync } = version;
      return vmlist === undefined ? '' : `${starttime} ${vmlist} ${corosync}`;
    } catch {
      return '';
    }
  }

  async #claims(devices: readonly GuestDevice[]): Promise<Claim[]> {
    const scope = await this.#scopeOfIds();
    const guests = Map.groupBy(devices, ({ folder, vmid }) => `${folder}/${vmid}.conf`);
    const claims: Claim[] = [];
    for (const [file, ofGuest] of guests) {
      claims.push(...(await this.#claimsOf(file, ofGuest, scope)));
    }
    return claims;
  }

  async #claimsOf(file: string, devices: readonly GuestDevice[], scope: string): Promise<Claim[]> {
    const all = (error: string) => devices.map(({ name }) => ({ device: name, error }));
    try {
      // A file that moves between nodes may be missed once. The second search finds it.
      const found = (await this.#find(file)) ?? (await this.#find(file));
      if (found === undefined) {
        return all(`there is no ${file} on any node in ${this.#folder}`);
      }
      const config = parseGuestConfig(found.text);
      return devices.map((device) => guestClaim(device, config, scope, found.guest));
    } catch (error) {
      // An error of a system call affects the file system, and not only one guest.
      if (errno(error) !== undefined) {
        throw error;
      }
      return all(reason(error));
    }
  }

  /**
   * The node whose folder has the file owns the guest. In a live migration, the file moves between
   * the stop on the origin node and the start on the target node.
   */
  async #find(file: string): Promise<Found | undefined> {
    const nodes = join(this.#folder, 'nodes');
    const own = await readBounded(join(nodes, this.#node, file), FILE_LIMIT);
    if (own !== undefined) {
      return { text: own, guest: 'running' };
    }
    for (const node of (await readdir(nodes)).slice(0, MAX_NODES)) {
      const text = await readBounded(join(nodes, node, file), FILE_LIMIT);
      if (text !== undefined) {
        return { text, guest: node === this.#node ? 'running' : 'absent' };
      }
    }
    return undefined;
  }

  /** The scope of ids. A host without a cluster uses its own name. */
  async #scopeOfIds(): Promise<string> {
    if (this.#scope !== undefined) {
      return this.#scope;
    }
    const corosync = await readBounded(join(this.#folder, 'corosync.conf'), FILE_LIMIT);
    return (corosync !== undefined && clusterName(corosync)) || this.#node;
  }
}
