/** A host: devices, disk, kernel, and perhaps an agent. */
import { EventEmitter } from 'node:events';
import type { Link } from '@mirrorplane/agent/testing/control';
import type { Process } from '../core/process.ts';
import type { Random } from '../core/random.ts';
import type { Scheduler } from '../core/scheduler.ts';
import { Disk } from './disk.ts';
import { Kernel } from './kernel.ts';

/** Which agent a host may run: what stands for its certificate. */
export interface Membership {
  node: string;
  uid: string;
  generation: number;
}

/** A device of a guest, and what its identity provider says. */
export interface GuestDevice extends Link {
  interface: string;
  /** Packets that its guest has sent. */
  sent: number;
}

export class Host extends EventEmitter<{ devices: [] }> {
  readonly name: string;
  /** IPv4 address of the underlay. */
  readonly address: string;
  readonly disk: Disk;
  readonly kernel: Kernel;
  /** How far its clock is wrong. */
  readonly clock: { rate: number; offset: number };
  powered = true;
  /** Its agent has confirmed a program that is not stored, and has not said so yet: it got no CPU. */
  untold = false;
  /** Its agent has begun with a program that is older than one that it has confirmed. */
  mayBeBack = false;
  /** Controllers that the agent is told at its start. None: there is one alone. */
  controllers: readonly string[] = [];
  /** The highest term of a leader that the agent says it knows. */
  term: () => number = () => 0;
  /** Called when the agent accepts a program, and when it goes on with a controller that says that it leads. */
  obeys: () => void = () => {};
  membership: Membership | undefined;
  agent: Process | undefined;
  readonly #fixed: Link[];
  readonly #guests = new Map<number, GuestDevice>();
  #nextIndex = 10;

  constructor(number: number, parts: { random: Random; scheduler: Scheduler; clock: Host['clock'] }) {
    super();
    this.name = `node-${number}`;
    this.address = `10.0.0.${number}`;
    this.clock = parts.clock;
    this.disk = new Disk(parts.random, parts.scheduler);
    this.kernel = new Kernel(parts.random, parts.scheduler);
    this.#fixed = [nic('eth0', 2, 9000), nic('eth1', 3, 1500), nic('eth2', 4, 1500)];
  }

  links(): readonly Link[] {
    return [...this.#fixed, ...this.#guests.values()];
  }

  /** The device of an interface of a guest. */
  guest(id: string): GuestDevice | undefined {
    return [...this.#guests.values()].find((device) => device.interface === id);
  }

  /** The device with this index. */
  readonly device = (ifindex: number): Link | undefined =>
    this.#guests.get(ifindex) ?? this.#fixed.find((one) => one.ifindex === ifindex);

  /** A device for an interface appears. @param guest what its alias says of the guest */
  plug(id: string, guest: 'running' | 'absent' | undefined): void {
    const ifindex = this.#nextIndex++;
    const link = { ...nic(`tap${ifindex}`, ifindex, 1500), linkType: 'tun', tunTap: true, bus: undefined };
    const device = { ...link, interface: id, sent: 0, alias: aliasOf(id, guest) } as unknown as GuestDevice;
    this.#guests.set(ifindex, device);
    this.emit('devices');
  }

  /** The alias says something else of the guest. */
  tell(id: string, guest: 'running' | 'absent' | undefined): void {
    const device = this.guest(id);
    if (device) {
      this.#guests.set(device.ifindex, { ...device, alias: aliasOf(id, guest) });
      this.emit('devices');
    }
  }

  unplug(id: string): void {
    const device = this.guest(id);
    if (device) {
      this.#guests.delete(device.ifindex);
      this.emit('devices');
    }
  }

  /** Devices of guests. */
  get guests(): readonly GuestDevice[] {
    return [...this.#guests.values()];
  }
}

function aliasOf(id: string, guest: 'running' | 'absent' | undefined): string {
  return `mirrorplane:kind=vm;id=${id}${guest === undefined ? '' : `;guest=${guest}`}`;
}

function nic(name: string, ifindex: number, mtu: number): Link {
  const mac = `02:00:00:00:00:${ifindex.toString(16).padStart(2, '0')}`;
  const plain = { permanentMac: mac, up: true, alias: '', master: 0, forwarding: true, ethernet: true };
  return { ...plain, name, ifindex, mac, mtu, linkType: '', bus: 'pci' };
}
