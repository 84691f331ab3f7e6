/** Where the guests of migrating interfaces are: the first frame that a guest sends through a device tells that it runs there. */
import type { GuestState, Standby } from '@mirrorplane/contract';
import type { NodeDevice } from '../discovery/devices.ts';
import type { DeviceStatistics } from '../netlink/statistics.ts';

/** Milliseconds between two looks at a device whose guest is about to come, and at one whose guest has left. */
const LOOK_INTERVAL_MS = { target: 5, origin: 100 } as const;

interface Watched {
  role: Standby['role'];
  /** Packets that the device had received when the guest was not there; more of them are the guest's. */
  baseline: number;
  arrived: boolean;
  /** The controller asks for it in its present program. */
  asked: boolean;
  /** What the identity provider said last. */
  said: GuestState | undefined;
}

/** Watches the devices that the controller says the guest is not behind. Without any, it does nothing. */
export class GuestWatch {
  readonly #statistics: (ifindex: number) => Promise<DeviceStatistics | undefined>;
  readonly #arrived: () => void;
  /** By device: `ifindex interface`, so that a device that comes back as another interface starts from the beginning. */
  readonly #watched = new Map<string, Watched>();
  #timer: NodeJS.Timeout | undefined;
  #looks = 0;
  #closed = false;

  /** @param parts.arrived called when a guest has been seen: `look` again */
  constructor(parts: { statistics: (ifindex: number) => Promise<DeviceStatistics | undefined>; arrived: () => void }) {
    this.#statistics = parts.statistics;
    this.#arrived = parts.arrived;
  }

  /**
   * Looks at all devices that are to stand by, and completes what identity providers have said of guests: `running` for one
   * that was seen, also where a provider does not know of it yet, `absent` for one that is to stand by and was not.
   */
  async look(devices: readonly NodeDevice[], standby: readonly Standby[]): Promise<NodeDevice[]> {
    const asked = new Map(standby.map(({ interface: id, role }) => [id, role]));
    const keys = new Map(devices.map((device) => [device, keyOf(device)]));
    const present = new Set(keys.values());
    for (const key of this.#watched.keys()) {
      if (!present.has(key)) {
        this.#watched.delete(key);
      }
    }
    for (const device of devices) {
      this.#hear(keys.get(device)!, device);
      const role = device.identity && device.guest !== 'running' ? asked.get(device.identity.id) : undefined;
      const key = keys.get(device)!;
      if (role !== undefined) {
        await this.#watch(key, device, role);
      } else if (this.#watched.has(key)) {
        this.#watched.get(key)!.asked = false;
      }
    }
    this.#schedule(devices, ++this.#looks);
    return devices.map((device) => {
      const watched = device.guest !== 'running' ? this.#watched.get(keys.get(device)!) : undefined;
      if (!watched?.arrived && !watched?.asked) {
        return device;
      }
      const guest: GuestState = watched.arrived ? 'running' : 'absent';
      const expected = guest === 'absent' && device.guest === undefined && watched.role === 'target';
      return { ...device, guest, ...(expected && { expected }) };
    });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** A provider that now says `absent`, and did not before, knows that a guest that was seen here has left. */
  #hear(key: string, { guest }: NodeDevice): void {
    const watched = this.#watched.get(key);
    if (watched?.arrived && guest === 'absent' && watched.said !== 'absent') {
      this.#watched.delete(key);
    } else if (watched !== undefined) {
      watched.said = guest;
    }
  }

  async #watch(key: string, device: NodeDevice, role: Standby['role']): Promise<void> {
    let watched = this.#watched.get(key);
    const goesOn = watched?.asked && watched.role === role;
    if (goesOn && watched!.arrived) {
      return;
    }
    const received = await this.#sentByGuest(device);
    if (watched === undefined || !goesOn) {
      // What a guest that has left had sent before says nothing. A device that awaits its guest is new: all is from it.
      watched = { role, baseline: role === 'origin' ? received : 0, arrived: false, asked: true, said: device.guest };
      this.#watched.set(key, watched);
    }
    watched.arrived = received > watched.baseline;
  }

  /** Packets that the guest has sent: they come in at its device, and leave by one that is its own end of the cable. */
  async #sentByGuest({ ifindex, reversed }: NodeDevice): Promise<number> {
    const statistics = await this.#statistics(ifindex);
    return (reversed ? statistics?.sent : statistics?.received) ?? 0;
  }

  #schedule(devices: readonly NodeDevice[], look: number): void {
    if (look !== this.#looks) {
      return; // somebody has looked meanwhile
    }
    clearTimeout(this.#timer);
    const awaited = devices.flatMap((device) => {
      const watched = this.#watched.get(keyOf(device));
      return watched?.asked && !watched.arrived ? [{ device, watched }] : [];
    });
    if (awaited.length === 0 || this.#closed) {
      return;
    }
    const interval = Math.min(...awaited.map(({ watched }) => LOOK_INTERVAL_MS[watched.role]));
    this.#timer = setTimeout(async () => {
      for (const { device, watched } of awaited) {
        const received = await this.#sentByGuest(device).catch(() => 0);
        if (received > watched.baseline) {
          return this.#arrived();
        }
      }
      this.#schedule(devices, look);
    }, interval);
  }
}

function keyOf({ ifindex, identity }: NodeDevice): string {
  return `${ifindex} ${identity?.id ?? ''}`;
}
