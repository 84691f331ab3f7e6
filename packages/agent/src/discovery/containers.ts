/**
 * The identity provider `containers`: finds the pod or container behind a veth, by the network
 * namespace that the runtime lists.
 */
import { type FSWatcher, statSync, watch } from 'node:fs';
import type { Logger } from '../log.ts';
import type { Link } from '../netlink/link.ts';
import { RtClient } from '../netlink/rt-client.ts';
import { errno } from './bounded-file.ts';
import { claimOf, unreadableProblems } from './claim.ts';
import type { Container } from './container-lists.ts';
import { isDenied, whyUnread } from './container-rights.ts';
import {
  type ContainerNaming,
  type ContainerReading,
  RUNTIMES,
  type Runtime,
  readContainers,
} from './container-runtimes.ts';
import { type FarEnd, FarEnds } from './far-ends.ts';
import type { Listing, PolledSource } from './polled-provider.ts';
import type { Claim } from './provider.ts';

/**
 * Milliseconds between readings. The interval is long because Podman's service starts for each
 * request.
 */
const INTERVAL_MS = 60_000;

/** The first name of a device inside its container. The container may rename it later. */
interface FirstName {
  container: string;
  name: string;
}

/** Reads all runtimes, and asks the kernel which device leads into which network namespace. */
export class ContainerSource implements PolledSource {
  readonly name = 'containers';
  readonly interval = INTERVAL_MS;
  readonly log: Logger;
  readonly #runtimes: readonly Runtime[];
  readonly #naming: ContainerNaming;
  readonly #client = new RtClient();
  readonly #last = new Map<Runtime, ContainerReading>();
  readonly #complaints = new Map<Runtime, string>();
  /** Runtimes that the user of the agent may not read, and why. */
  readonly #denied = new Map<Runtime, string>();
  readonly #watchers = new Map<string, FSWatcher>();
  /** By ifindex of the device in this namespace. */
  #names: ReadonlyMap<number, FirstName> = new Map();

  /**
   * @param options.runtimes paths with commas between them, each a socket of Docker's API or a
   * folder of bundles; `auto`: all usual ones that exist
   */
  constructor({ runtimes, log, ...naming }: { runtimes: string; log: Logger } & ContainerNaming) {
    this.#runtimes = runtimes === 'auto' ? RUNTIMES : runtimes.split(',').filter(Boolean).map(runtimeAt);
    this.#naming = naming;
    this.log = log;
  }

  concerns({ linkType }: Link): boolean {
    return linkType === 'veth' || linkType === 'netkit';
  }

  async read(): Promise<Listing | undefined> {
    for (const runtime of this.#runtimes) {
      await this.#ask(runtime);
    }
    const denied = [...this.#denied].map(([{ path }, why]) => `${path}: ${why}`);
    if (this.#last.size === 0) {
      return denied.length === 0 ? undefined : { claims: [], problems: unreadableProblems(denied) };
    }
    const ends = await FarEnds.read(this.#client);
    const claims: Claim[] = [];
    const unreadable = [...denied];
    const names = new Map<number, FirstName>();
    for (const reading of this.#last.values()) {
      unreadable.push(...reading.unreadable);
      for (const container of reading.containers.values()) {
        try {
          for (const end of await ends.into(container.namespace)) {
            const first = this.#names.get(end.ifindex);
            const name = first?.container === container.id ? first.name : end.name;
            names.set(end.ifindex, { container: container.id, name });
            claims.push(nicClaim(container, end, name));
          }
        } catch (error) {
          unreadable.push(`${container.name}: ${container.namespace}: ${whyUnread(error)}`);
        }
      }
    }
    this.#names = names;
    return { claims, problems: unreadableProblems(unreadable) };
  }

  follow(hint: () => void): void {
    for (const { path, kind } of this.#runtimes) {
      if (kind !== 'bundles' || this.#watchers.has(path)) {
        continue;
      }
      try {
        const watcher = watch(path, { persistent: false }, hint);
        watcher.on('error', () => {
          watcher.close();
          this.#watchers.delete(path);
        });
        this.#watchers.set(path, watcher);
      } catch {
        // The folder does not exist yet. New devices and the interval trigger readings.
      }
    }
  }

  unfollow(): void {
    for (const watcher of this.#watchers.values()) {
      watcher.close();
    }
    this.#watchers.clear();
    this.#client.close();
  }

  /** Reads a runtime. While it cannot be read, its last result is kept. */
  async #ask(runtime: Runtime): Promise<void> {
    try {
      this.#last.set(runtime, await readContainers(runtime, this.#naming, { last: this.#last.get(runtime) }));
      this.#complaints.delete(runtime);
      this.#denied.delete(runtime);
    } catch (error) {
      const why = whyUnread(error);
      if (isDenied(error)) {
        this.#denied.set(runtime, why);
      } else {
        this.#denied.delete(runtime);
      }
      // A runtime that has never existed is no problem.
      if ((errno(error) === 'ENOENT' && !this.#last.has(runtime)) || this.#complaints.get(runtime) === why) {
        return;
      }
      this.#complaints.set(runtime, why);
      this.log.warn({ path: runtime.path, reason: why }, 'containers cannot be read; their last known state holds');
    }
  }
}

function nicClaim({ id, name, namespace, networks }: Container, end: FarEnd, called: string): Claim {
  return claimOf({
    device: end.device,
    kind: 'vm',
    id: `${id}/${called}`,
    name: `${name} ${called}`,
    network: networks.get(end.mac) ?? '',
    provider: 'containers',
    mac: end.mac,
    life: namespace,
  });
}

function runtimeAt(path: string): Runtime {
  const folder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? !path.endsWith('.sock');
  return { path, kind: folder ? 'bundles' : 'api' };
}
