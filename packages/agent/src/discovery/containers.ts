/** The identity provider `containers`: which pod or container a veth leads into, by the network namespace that the runtime lists. */
import { type FSWatcher, statSync, watch } from 'node:fs';
import { type Logger, reason } from '../log.ts';
import type { Link } from '../netlink/link.ts';
import { RtClient } from '../netlink/rtnetlink.ts';
import { errno } from './bounded-file.ts';
import { claimOf, unreadableProblems } from './claim.ts';
import type { Container } from './container-lists.ts';
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

/** Milliseconds: Podman's service starts for each question. */
const INTERVAL_MS = 60_000;

/** What a container's device was called when it was seen first. A container may call it something else later. */
interface FirstName {
  container: string;
  name: string;
}

/** Asks all runtimes, and the kernel which device leads to whom. */
export class ContainerSource implements PolledSource {
  readonly name = 'containers';
  readonly interval = INTERVAL_MS;
  readonly log: Logger;
  readonly #runtimes: readonly Runtime[];
  readonly #naming: ContainerNaming;
  readonly #client = new RtClient();
  readonly #last = new Map<Runtime, ContainerReading>();
  readonly #complaints = new Map<Runtime, string>();
  readonly #watchers = new Map<string, FSWatcher>();
  /** By ifindex of the device here. */
  #names: ReadonlyMap<number, FirstName> = new Map();

  /**
   * @param options.runtimes paths with commas between them, each a socket of Docker's API or a folder of bundles; `auto`:
   *   the usual ones, where they are
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
    if (this.#last.size === 0) {
      return undefined;
    }
    const ends = await FarEnds.read(this.#client);
    const claims: Claim[] = [];
    const unreadable: string[] = [];
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
          unreadable.push(`${container.name}: ${container.namespace}: ${reason(error)}`);
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
        // It is not there yet; devices that come, and the clock, do it.
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

  /** Keeps what a runtime said last while it cannot be read. */
  async #ask(runtime: Runtime): Promise<void> {
    try {
      this.#last.set(runtime, await readContainers(runtime, this.#naming, { last: this.#last.get(runtime) }));
      this.#complaints.delete(runtime);
    } catch (error) {
      const why = reason(error);
      // A runtime that was never there is not missed.
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
