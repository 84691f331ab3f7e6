/** What the devices of this node carry: read every few seconds, and told where it has changed. */
import {
  type DeviceTraffic,
  MAX_BUDGETS,
  TRAFFIC_INTERVAL_MS,
  type TrafficReport,
  type UplinkSpeed,
} from '@mirrorplane/contract';
import type { NodeDevice } from './discovery/devices.ts';
import type { Link } from './netlink/link.ts';
import type { AllStatistics } from './netlink/statistics.ts';
import { hookOf } from './reconcile/reconcile.ts';

/** How to read devices. */
export interface TrafficParts {
  /** Statistics of all devices, by ifindex. */
  statistics: () => Promise<ReadonlyMap<number, AllStatistics>>;
  /** Speed of a device by which packets leave the node, bytes a second. Undefined: not known. */
  speedOf: (link: Link) => number | undefined;
  /** Whether copies give way to service traffic. */
  throttled: boolean;
  /** The current devices of the node. */
  links: () => readonly Link[];
}

/** The devices of a node, and the one of its underlay. */
export interface TrafficDevices {
  devices: readonly NodeDevice[];
  /** ifindex. Undefined: the node has no underlay. */
  underlay: number | undefined;
}

/** Reads devices. It remembers what it has told last. */
export class TrafficReader {
  readonly #parts: TrafficParts;
  /** By ifindex: what was told last, as text. */
  #told = new Map<number, string>();
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(parts: TrafficParts) {
    this.#parts = parts;
  }

  /** Nothing has been told yet, because the connection is a new one. */
  forget(): void {
    this.#told = new Map();
    this.#readAt = Number.NEGATIVE_INFINITY;
  }

  /**
   * What has changed since the last report. Undefined: the last one is too young.
   * @param now milliseconds of a monotonic clock
   * @throws NetlinkError
   */
  async read({ devices, underlay }: TrafficDevices, now: number): Promise<TrafficReport | undefined> {
    // Asked once a second, by a timer that may come a little early.
    if (now - this.#readAt < TRAFFIC_INTERVAL_MS - 500) {
      return undefined;
    }
    this.#readAt = now;
    const statistics = await this.#parts.statistics();
    const watched = devices.filter(({ identity, ifindex }) => identity !== undefined || ifindex === underlay);
    const told = new Map<number, string>();
    const changed: DeviceTraffic[] = [];
    for (const device of watched) {
      const read = statistics.get(device.ifindex);
      if (read) {
        const traffic = trafficOf(device, read);
        const text = JSON.stringify(traffic);
        told.set(device.ifindex, text);
        if (this.#told.get(device.ifindex) !== text) {
          changed.push(traffic);
        }
      }
    }
    this.#told = told;
    return { devices: changed, uplinks: this.#uplinks(watched, underlay) };
  }

  #uplinks(watched: readonly NodeDevice[], underlay: number | undefined): UplinkSpeed[] {
    const links = new Map(this.#parts.links().map((link) => [link.ifindex, link]));
    const uplinks = watched.filter(({ identity, ifindex }) => identity?.kind === 'edge' || ifindex === underlay);
    return uplinks.slice(0, MAX_BUDGETS).map(({ name, ifindex }) => {
      const link = links.get(ifindex);
      const bytesPerSecond = link && this.#parts.speedOf(link);
      return {
        device: name,
        ifindex,
        throttled: this.#parts.throttled,
        ...(bytesPerSecond !== undefined && { bytesPerSecond }),
      };
    });
  }
}

/** The counts of a device, as its interface sees them. A device without one is seen as an edge. */
function trafficOf({ ifindex, identity, reversed, linkType }: NodeDevice, read: AllStatistics): DeviceTraffic {
  const received = { packets: read.received, bytes: read.receivedBytes };
  const sent = { packets: read.sent, bytes: read.sentBytes };
  const isOwnEnd = hookOf(identity?.kind ?? 'edge', 'inbound', reversed) === 'ingress';
  return {
    ifindex,
    inbound: isOwnEnd ? received : sent,
    outbound: isOwnEnd ? sent : received,
    // The guest of a tap reads what the tap sends (drivers/net/tun.c, tun_net_xmit).
    ...(linkType === 'tun' && !isOwnEnd && { unread: read.sendDrops }),
  };
}
