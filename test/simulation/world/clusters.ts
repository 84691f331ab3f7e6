/**
 * Several controllers: who leads by what etcd says, and what must be true of that. The clustered
 * start, the candidate, the follower, its link, the lead and the client of etcd are those of the
 * product.
 */
import {
  type Clustered,
  type Controller,
  type ControllerOptions,
  LEADER_KEY,
  type StoreEvent,
  SURE_MS,
  startClustered,
} from '@mirrorplane/controller/testing/control';
import type { Process } from '../core/process.ts';
import type { Random } from '../core/random.ts';
import type { Scheduler } from '../core/scheduler.ts';
import type { Change, Event } from './etcd/data.ts';
import { EtcdMembers } from './etcd/members.ts';
import type { SimulatedLog } from './log.ts';
import type { Network } from './network.ts';

const STORE_ROOT = '/mirrorplane/store/';
const SHARED_ROOT = '/mirrorplane/shared/';
/** Port of agents, at each controller. */
export const AGENT_PORT = 7071;
/** Clocks differ by a part of a thousand, and a look has a whole number of milliseconds. */
const SURE_AT_MOST_MS = SURE_MS * 1.002 + 1;

/** A time in which a process has had the leader's key. */
interface Reign {
  process: Process;
  term: number;
  /** Virtual time at which it has lost it. Undefined: it has it. */
  endedAt: number | undefined;
}

export interface ClustersOptions {
  scheduler: Scheduler;
  random: Random;
  network: Network;
  failed: (text: string) => void;
  /** Starts what a leader runs, as a step of its process. */
  lead: (options: ControllerOptions) => Promise<Controller>;
}

export class Clusters {
  readonly etcd: EtcdMembers;
  readonly #options: ClustersOptions;
  readonly #reigns: Reign[] = [];
  readonly #runs = new Map<string, string[]>();
  /** Called when a process does not lead any more, once. */
  readonly #ends = new Map<Process, () => void>();
  readonly #followers: ((events: StoreEvent[], revision: number) => void)[] = [];

  constructor(options: ClustersOptions) {
    const { scheduler, random, network } = options;
    this.#options = options;
    const names = ['etcd-1', 'etcd-2', 'etcd-3'];
    this.etcd = new EtcdMembers({ scheduler, random, names, isCut: (a, b) => network.isCut(a, b) });
    this.etcd.changed = (change) => this.#changed(change);
  }

  /** Starts a controller that follows until it leads, as a step of its process. */
  start(name: string, { log, failed }: { log: SimulatedLog; failed: (error: Error) => void }): Promise<Clustered> {
    return startClustered({
      data: '/controller',
      listen: ['http://127.0.0.1:7070'],
      agentListen: `0.0.0.0:${AGENT_PORT}`,
      advertise: `${name}:${AGENT_PORT}`,
      etcd: { endpoints: this.etcd.names.map((host) => `http://${host}:2379`), keepRevisions: 40 },
      logger: log as unknown as NonNullable<ControllerOptions['logger']>,
      failed,
    });
  }

  /** Ids of all runs of a controller at a host, the newest last. */
  runsOf(host: string): string[] {
    const ids = this.#runs.get(host) ?? [];
    this.#runs.set(host, ids);
    return ids;
  }

  readonly lead = (options: ControllerOptions): Promise<Controller> => this.#options.lead(options);

  /** The process that leads, by what etcd says now. */
  get leader(): Process | undefined {
    const last = this.#reigns.at(-1);
    return last?.endedAt === undefined ? last?.process : undefined;
  }

  /** Calls back in the step of etcd in which a process that leads loses its place. Undefined: not any more. */
  onEnd(process: Process, ended: (() => void) | undefined): void {
    if (ended) {
      this.#ends.set(process, ended);
    } else {
      this.#ends.delete(process);
    }
  }

  /** The newest term of a process. Undefined: it has never led. */
  termOf(process: Process | undefined): number | undefined {
    return this.#reigns.findLast((one) => one.process === process)?.term;
  }

  /** A process tells an agent what to do. @returns what is wrong with it */
  tells(process: Process | undefined): string | undefined {
    const reign = this.#reigns.findLast((one) => one.process === process);
    const ago = reign?.endedAt === undefined ? 0 : this.#options.scheduler.now - reign.endedAt;
    return reign && ago <= SURE_AT_MOST_MS
      ? undefined
      : `${process?.name} sends a program, and has not led for ${Math.round(ago)} ms`;
  }

  /** Calls back with each change of the store, as etcd carries it out. */
  follow(take: (events: StoreEvent[], revision: number) => void): void {
    this.#followers.push(take);
  }

  #changed(change: Change<Process>): void {
    this.#checkFence(change);
    const leader = change.events.find(({ key }) => key === LEADER_KEY);
    if (leader) {
      this.#reigned(leader, change);
    }
    const events = change.events.filter(({ key }) => key.startsWith(STORE_ROOT)).map(toEvent);
    if (events.length > 0) {
      for (const take of this.#followers) {
        take(events, change.revision);
      }
    }
  }

  /** Only the process that has the key writes what controllers share. */
  #checkFence({ by, events }: Change<Process>): void {
    const written = events.find(({ key }) => key.startsWith(STORE_ROOT) || key.startsWith(SHARED_ROOT));
    if (written && (by === undefined || by !== this.leader)) {
      this.#options.failed(
        `${by?.name ?? 'a lease'} writes ${written.key}, and ${this.leader?.name ?? 'nobody'} leads`,
      );
    }
  }

  #reigned({ version }: Event, { revision, by }: Change<Process>): void {
    const last = this.#reigns.at(-1);
    if (last?.endedAt === undefined && last !== undefined && version?.createRevision !== last.term) {
      last.endedAt = this.#options.scheduler.now;
      this.#ends.get(last.process)?.();
      this.#ends.delete(last.process);
    }
    if (version?.createRevision === revision) {
      if (last && last.term >= revision) {
        this.#options.failed(`term ${revision} comes after ${last.term}`);
      }
      this.#reigns.push({ process: by!, term: revision, endedAt: undefined });
    }
  }
}

function toEvent({ key, version }: Event): StoreEvent {
  const name = Buffer.from(key.slice(STORE_ROOT.length), 'latin1').toString();
  if (!version) {
    return { type: 'delete', key: name };
  }
  const { value, createRevision, modRevision } = version;
  return { type: 'put', entry: { key: name, value: JSON.parse(value.toString()), createRevision, modRevision } };
}
