/** Guests of the simulated cluster: where each one runs, and how it moves. */
import type { Random } from '../core/random.ts';
import type { Host } from './host.ts';
import type { World } from './world.ts';

/** One VM with one interface. */
export interface Guest {
  /** Id of its interface. */
  id: string;
  /** Where it runs. Undefined: nowhere. */
  host: Host | undefined;
  /** Where it is about to run. Undefined: it does not migrate. */
  target: Host | undefined;
  /** It runs at `host`, and `origin` still has a device. */
  origin: Host | undefined;
  /** Whether providers say where it runs. */
  isTold: boolean;
}

export class Guests {
  readonly all: readonly Guest[];
  readonly #world: World;

  constructor(world: World, random: Random) {
    this.#world = world;
    const count = 3 + random.below(4);
    this.all = Array.from({ length: count }, (_, at) => {
      return {
        id: `vm-${at + 1}/0`,
        host: undefined,
        target: undefined,
        origin: undefined,
        isTold: random.chance(0.7),
      };
    });
  }

  boot(guest: Guest, host: Host): void {
    if (guest.host === undefined) {
      this.#note(guest, `boots at ${host.name}`);
      guest.host = host;
      host.plug(guest.id, guest.isTold ? 'running' : undefined);
    }
  }

  stop(guest: Guest): void {
    if (guest.host && !guest.target && !guest.origin) {
      this.#note(guest, `ends at ${guest.host.name}`);
      guest.host.unplug(guest.id);
      guest.host = undefined;
    }
  }

  /** A migration begins: the target has a device too. */
  begin(guest: Guest, target: Host): void {
    if (guest.host && guest.host !== target && !guest.target && !guest.origin) {
      this.#note(guest, `begins to move from ${guest.host.name} to ${target.name}`);
      guest.target = target;
      target.plug(guest.id, guest.isTold ? 'absent' : undefined);
    }
  }

  /** The guest goes on at the target. */
  switchOver(guest: Guest): void {
    const { host, target } = guest;
    if (host && target) {
      this.#note(guest, `runs at ${target.name}`);
      if (guest.isTold) {
        host.tell(guest.id, 'absent');
        target.tell(guest.id, 'running');
      }
      Object.assign(guest, { host: target, target: undefined, origin: host });
    }
  }

  /** The device at the origin goes. */
  finish(guest: Guest): void {
    if (guest.origin) {
      this.#note(guest, `has left ${guest.origin.name}`);
      guest.origin.unplug(guest.id);
      guest.origin = undefined;
    }
  }

  /** A migration is given up before the guest has moved. */
  giveUp(guest: Guest): void {
    if (guest.target) {
      this.#note(guest, `does not move to ${guest.target.name}`);
      guest.target.unplug(guest.id);
      guest.target = undefined;
    }
  }

  /** A host has lost its power: its guests are gone. */
  lost(host: Host): void {
    for (const guest of this.all) {
      if (guest.target === host) {
        this.giveUp(guest);
      } else if (guest.origin === host) {
        this.finish(guest);
      } else if (guest.host === host) {
        guest.host = undefined;
        host.unplug(guest.id);
        const other = guest.target ?? guest.origin;
        other?.unplug(guest.id);
        Object.assign(guest, { target: undefined, origin: undefined });
      }
    }
  }

  /** Guests send, and captures that are in force count. */
  traffic(packets: () => number, counted: (host: Host, id: string, packets: number) => void): void {
    for (const guest of this.all) {
      const device = guest.host?.guest(guest.id);
      if (device) {
        device.sent++;
      }
    }
    for (const host of this.#world.hosts.filter(({ powered }) => powered)) {
      for (const { id, ifindex } of host.kernel.state.captures) {
        if (ifindex !== 0 && host.device(ifindex)) {
          const count = packets();
          host.kernel.pass(id, count);
          counted(host, id, count);
        }
      }
    }
  }

  #note(guest: Guest, text: string): void {
    this.#world.note(guest.id, text);
  }
}
