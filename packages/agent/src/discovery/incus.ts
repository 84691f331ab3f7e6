/**
 * The identity provider `incus`: finds the instance and NIC of a device, by the API of Incus or LXD
 * on its unix socket.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Logger, reason } from '../log.ts';
import type { Link } from '../netlink/link.ts';
import { unreadableProblems } from './claim.ts';
import { readInstance, Server } from './incus-instances.ts';
import type { Listing, PolledSource } from './polled-provider.ts';
import { getItems, getJson } from './unix-http.ts';

/** Usual sockets: Incus, LXD as a snap, LXD as a package. */
export const INCUS_SOCKETS = [
  '/var/lib/incus/unix.socket',
  '/var/snap/lxd/common/lxd/unix.socket',
  '/var/lib/lxd/unix.socket',
] as const;

/**
 * All projects and whole instances, without their state. A query of the state would ask each guest.
 */
const INSTANCES = '/1.0/instances?recursion=1&all-projects=true';

/** The most instances that are read. */
const MAX_INSTANCES = 4096;

/** Asks the daemon. */
export class IncusSource implements PolledSource {
  readonly name = 'incus';
  readonly log: Logger;
  readonly #socket: string;

  /** @param options.socket of the daemon; `auto`: the first usual one that is in use */
  constructor({ socket, log }: { socket: string; log: Logger }) {
    this.#socket = socket;
    this.log = log;
  }

  concerns({ linkType }: Link): boolean {
    return linkType === 'veth' || linkType === 'tun';
  }

  async read(): Promise<Listing | undefined> {
    const socket = this.#socket === 'auto' ? INCUS_SOCKETS.find(isInUse) : this.#socket;
    if (socket === undefined) {
      return undefined;
    }
    const { environment } = Server.parse(await metadata(socket, '/1.0'));
    const member = environment.server_clustered ? environment.server_name : undefined;
    const listing = { claims: [], problems: [] } as { [K in keyof Listing]: Listing[K][number][] };
    const unreadable: string[] = [];
    const question = { socket, path: INSTANCES, level: 1, most: MAX_INSTANCES } as const;
    const more = await getItems(question, (listed) => {
      try {
        const { claims, problems } = readInstance(listed, member);
        listing.claims.push(...claims);
        listing.problems.push(...problems);
      } catch (error) {
        unreadable.push(`${nameOf(listed)}: ${reason(error)}`);
      }
    });
    if (more) {
      unreadable.unshift(`there are more than ${MAX_INSTANCES} instances; only that many are read`);
    }
    listing.problems.push(...unreadableProblems(unreadable));
    return listing;
  }
}

/**
 * Whether the daemon has been used. Some systems install LXD by default, and a connection to its
 * socket starts it. A daemon that was never used has no database.
 */
function isInUse(socket: string): boolean {
  return existsSync(socket) && existsSync(join(dirname(socket), 'database'));
}

function nameOf(listed: unknown): string {
  const { project, name } = (listed ?? {}) as { project?: unknown; name?: unknown };
  return `${project}/${name}`;
}

async function metadata(socket: string, path: string): Promise<unknown> {
  return ((await getJson(socket, path)) as { metadata?: unknown } | null)?.metadata;
}
