/** What the devices of a node have carried in the last minute. Pure but for what it remembers. */
import { type DeviceTraffic, type HeardCounters, TRAFFIC_SECONDS, type UplinkSpeed } from '@mirrorplane/contract';
import type { GuestReading } from '@mirrorplane/planner';

/** Devices of all nodes that are remembered: those of 10,000 interfaces, and some. */
export const MOST_DEVICES = 12_000;
/** Milliseconds between two samples that are kept, and how many of them are. */
const SPACING_MS = 5000;
const SAMPLES = 18;
/** Numbers of a sample: time, bytes and packets in both directions, unread packets. */
const FIELDS = 6;
/** Seconds over which is said how much a guest reads. */
const READING_SECONDS = 10;
/**
 * A guest is slow where so many packets a second were not read, as the mean of so many seconds. So a
 * stopped guest is slow with the next report, and one that reads again is not within half a minute.
 */
const SLOW_RATE = 1;
const SLOW_SECONDS = 30;
/** Milliseconds after which a report is too old to say what a device carries. */
const OLDEST_MS = 10_000;

/** How many devices there are, and may be, of all nodes together. */
export interface DeviceRoom {
  used: number;
  readonly most: number;
}

/** Growth of the counts of a device in a second. */
export interface DeviceRate {
  /** Seconds of which it is the mean. */
  seconds: number;
  inbound: { packets: number; bytes: number };
  outbound: { packets: number; bytes: number };
  /** Undefined: this kind of device does not say. */
  unread: number | undefined;
}

/** Samples of one device: 864 bytes, and some hundred around them. */
class Samples {
  readonly #values = new Float64Array(SAMPLES * FIELDS);
  #count = 0;

  /** Adds a sample. One that follows too soon takes the place of the last one. */
  add(at: number, { inbound, outbound, unread = Number.NaN }: DeviceTraffic): void {
    const place = this.#place(at);
    const values = this.#values;
    values[place] = at;
    values[place + 1] = inbound.bytes;
    values[place + 2] = inbound.packets;
    values[place + 3] = outbound.bytes;
    values[place + 4] = outbound.packets;
    values[place + 5] = unread;
  }

  /** Adds the last sample once more: nothing has changed until this time. */
  repeat(at: number): void {
    const last = this.last()!;
    const place = this.#place(at);
    this.#values.set(last, place);
    this.#values[place] = at;
  }

  /** Whether a count is less than in the last sample. */
  isBefore({ inbound, outbound, unread = Number.NaN }: DeviceTraffic): boolean {
    const [values, last] = [this.#values, (this.#count - 1) * FIELDS];
    return (
      inbound.bytes < values[last + 1]! ||
      inbound.packets < values[last + 2]! ||
      outbound.bytes < values[last + 3]! ||
      outbound.packets < values[last + 4]! ||
      unread < values[last + 5]!
    );
  }

  /** Time of the last sample. */
  get lastAt(): number {
    return this.#at(this.#count - 1, 0);
  }

  /** The last sample. Undefined: there is none. */
  last(): number[] | undefined {
    return this.#count === 0 ? undefined : this.#sample(this.#count - 1);
  }

  /** The counts at a time, between two samples as if they had grown evenly. The first one before all of them. */
  at(time: number): number[] {
    let index = this.#count - 1;
    while (index > 0 && this.#at(index, 0) > time) {
      index -= 1;
    }
    const [from, to] = [this.#sample(index), this.#sample(Math.min(index + 1, this.#count - 1))];
    const share = to[0]! > from[0]! ? Math.min(1, Math.max(0, (time - from[0]!) / (to[0]! - from[0]!))) : 0;
    return from.map((value, field) => (field === 0 ? Math.max(time, value) : value + share * (to[field]! - value)));
  }

  /** Where a sample of this time is to be. */
  #place(at: number): number {
    const tooSoon = this.#count > 1 && at - this.#at(this.#count - 2, 0) < SPACING_MS;
    if (tooSoon) {
      this.#count -= 1;
    } else if (this.#count === SAMPLES) {
      this.#values.copyWithin(0, FIELDS);
      this.#count -= 1;
    }
    this.#count += 1;
    return (this.#count - 1) * FIELDS;
  }

  #at(index: number, field: number): number {
    return this.#values[index * FIELDS + field]!;
  }

  #sample(index: number): number[] {
    return [...this.#values.subarray(index * FIELDS, (index + 1) * FIELDS)];
  }
}

/** Devices of a node. */
type Present = readonly { readonly ifindex: number }[];

export class NodeTraffic {
  readonly #room: DeviceRoom;
  readonly #devices = new Map<number, Samples>();
  #uplinks: readonly UplinkSpeed[] = [];
  #readAt: number | undefined;
  #present: Present = [];

  /** @param room of all nodes */
  constructor(room: DeviceRoom) {
    this.#room = room;
  }

  /** Devices by which copies may leave, as the last report says. */
  get uplinks(): readonly UplinkSpeed[] {
    return this.#uplinks;
  }

  /**
   * Takes a report, or a part of one. Devices that it does not mention have not changed.
   * @param readAt when it was read, milliseconds of a clock that does not jump
   * @param present the devices that the node has. Another list where they differ
   */
  take({ devices, uplinks }: NonNullable<HeardCounters['traffic']>, readAt: number, present: Present): void {
    const before = this.#readAt;
    this.#readAt = Math.max(readAt, before ?? 0);
    this.#uplinks = uplinks ?? this.#uplinks;
    if (present !== this.#present) {
      this.#present = present;
      const there = new Set(present.map(({ ifindex }) => ifindex));
      for (const ifindex of this.#devices.keys()) {
        if (!there.has(ifindex)) {
          this.#forget(ifindex);
        }
      }
    }
    devices.forEach((device) => {
      this.#add(device, readAt, before);
    });
  }

  /**
   * The mean rate of the last seconds. Undefined: not known, because the device was not told twice.
   * @param now milliseconds of that clock
   */
  rate(ifindex: number, now: number, seconds = TRAFFIC_SECONDS): DeviceRate | undefined {
    const samples = this.#devices.get(ifindex);
    const end = this.#readAt;
    if (!samples || end === undefined || now - end > OLDEST_MS) {
      return undefined;
    }
    const [from, to] = [samples.at(end - seconds * 1000), samples.last()!];
    const known = (end - from[0]!) / 1000;
    if (known < 1) {
      return undefined;
    }
    const [, inBytes, inPackets, outBytes, outPackets, unread] = to.map((value, at) => (value - from[at]!) / known);
    return {
      seconds: known,
      inbound: { packets: inPackets!, bytes: inBytes! },
      outbound: { packets: outPackets!, bytes: outBytes! },
      unread: Number.isNaN(unread) ? undefined : unread,
    };
  }

  /**
   * Whether the guest behind a device reads what it is given. Undefined: not known.
   * @param now milliseconds of that clock
   */
  reading(ifindex: number, now: number): GuestReading | undefined {
    const lately = this.rate(ifindex, now, READING_SECONDS);
    const longer = this.rate(ifindex, now, SLOW_SECONDS);
    return lately?.unread === undefined || longer?.unread === undefined
      ? undefined
      : { read: lately.inbound.packets, unread: lately.unread, isSlow: longer.unread >= SLOW_RATE };
  }

  /** Gives its room back. */
  close(): void {
    for (const ifindex of this.#devices.keys()) {
      this.#forget(ifindex);
    }
  }

  #add(device: DeviceTraffic, at: number, before?: number): void {
    const { ifindex } = device;
    let samples = this.#devices.get(ifindex);
    // Counts that went back are those of another device.
    if (samples?.isBefore(device)) {
      this.#forget(ifindex);
      samples = undefined;
    }
    if (!samples) {
      if (this.#room.used >= this.#room.most || !this.#present.some((one) => one.ifindex === ifindex)) {
        return;
      }
      this.#room.used += 1;
      samples = new Samples();
      this.#devices.set(ifindex, samples);
    } else if (before !== undefined && before - samples.lastAt >= SPACING_MS) {
      // It had not changed until the report before this one.
      samples.repeat(before);
    }
    samples.add(at, device);
  }

  #forget(ifindex: number): void {
    this.#room.used -= this.#devices.delete(ifindex) ? 1 : 0;
  }
}
