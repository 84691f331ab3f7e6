/**
 * Finds the node of a migrating guest: the first frame that the guest sends through a device proves
 * that it runs there.
 */
import type { GuestState, Standby } from '@mirrorplane/contract';
import type { NodeDevice } from '../discovery/devices.ts';
import type { DeviceStatistics } from '../netlink/statistics.ts';

/**
 * Milliseconds between two looks at a device: before its guest comes (`target`), and after its
 * guest has left (`origin`).
 */
const LOOK_INTERVAL_MS = { target: 5, origin: 100 } as const;

interface Watched {
  role: Standby['role'];
  /**
   * Packets that the device had received while the guest was absent. Further packets are from the
   * guest.
   */
  baseline: number;
  arrived: boolean;
  /** The current program of the controller has this standby. */
  asked: boolean;
  /** The last report of the identity provider. */
  said: GuestState | undefined;
}

/**
 * Watches devices whose guests, as the controller says, are on another node. Without such devices
 * it does nothing.
 */
export class GuestWatch {
  readonly #statistics: (ifindex: number) => Promise<DeviceStatistics | undefined>;
  readonly #arrived: () => void;
  /**
   * By `ifindex interface`, so that an ifindex with another interface starts from the beginning.
   */
  readonly #watched = new Map<string, Watched>();
  #timer: NodeJS.Timeout | undefined;
  #looks = 0;
  #closed = false;

  /** @param parts.arrived called when a guest has been seen, to request another `look` */
  constructor(parts: { statistics: (ifindex: number) => Promise<DeviceStatistics | undefined>; arrived: () => void }) {
    this.#statistics = parts.statistics;
    this.#arrived = parts.arrived;
  }

  /**
   * Looks at all standby devices, and completes the reports of identity providers. A guest that was
   * seen is `running`, even if a provider does not know it yet. A guest that was not seen is
   * `absent`.
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

  /** If a provider newly reports `absent`, a guest that was seen here has left. */
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
      // On the origin node, earlier packets of the guest prove nothing. On the target node the
      // device is new, and all its packets are from the guest.
      watched = { role, baseline: role === 'origin' ? received : 0, arrived: false, asked: true, said: device.guest };
      this.#watched.set(key, watched);
    }
    watched.arrived = received > watched.baseline;
  }

  /**
   * Packets that the guest has sent. The device receives them. If the device is the guest's own end
   * of the cable, it sends them.
   */
  async #sentByGuest({ ifindex, reversed }: NodeDevice): Promise<number> {
    const statistics = await this.#statistics(ifindex);
    return (reversed ? statistics?.sent : statistics?.received) ?? 0;
  }

  #schedule(devices: readonly NodeDevice[], look: number): void {
    if (look !== this.#looks) {
      return; // another look has finished meanwhile
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
