/**
 * Carries out the looks that the controller asks for: begins, renews and ends them in the room, and
 * tells what they see. Looks begin when there is a way to tell it.
 */
import { randomInt } from 'node:crypto';
import { divideBatch, encodeLookBatch, type LookBatch, type LookOrder, type LookRefusal } from '@mirrorplane/contract';
import type { LookDrop, LookPacket } from '../datapath/datapath.ts';
import { type Logger, reason } from '../log.ts';
import type { LookNames } from './look-names.ts';
import { type LookEnd, LookRefused, type LookReport, type LookRoom } from './look-room.ts';

/** The connection for what looks see. */
export interface LookChannel {
  readonly open: boolean;
  /** It is needed, or is not needed any more once what was sent has gone. */
  want(wanted: boolean): void;
  /** @returns false: it did not go, and will not: there is no connection, or it is congested */
  send(batch: Uint8Array): boolean;
  on(event: 'open', listener: () => void): unknown;
}

export interface LookFollowerParts {
  room: LookRoom;
  names: LookNames;
  channel: LookChannel;
  /** All looks of the last orders that cannot be carried out. Told when they have changed. */
  refused: (refused: LookRefusal[]) => void;
  log: Logger;
  /** Milliseconds of a clock that does not jump. Default `performance.now`. */
  now?: () => number;
}

interface Followed {
  run: number;
  /** Packets that were read and could not be sent, or that belong to no known device. */
  lost: number;
}

/** Level-triggered: the newest orders are followed. */
export class LookFollower {
  readonly #parts: LookFollowerParts;
  readonly #now: () => number;
  #orders: { order: LookOrder; until: number }[] = [];
  readonly #followed = new Map<string, Followed>();
  #refused = '[]';

  constructor(parts: LookFollowerParts) {
    this.#parts = parts;
    this.#now = parts.now ?? (() => performance.now());
    parts.channel.on('open', () => this.#carryOut());
    parts.room.on('report', (report) => this.#tell(report));
    parts.room.on('end', (id, why, last) => this.#ended(id, why, last));
  }

  /** Accepts the list of all looks that this node shall have. */
  follow(orders: readonly LookOrder[]): void {
    const now = this.#now();
    this.#orders = orders.map((order) => ({ order, until: now + order.leaseMs }));
    this.#want();
    this.#carryOut();
  }

  /** The controller is connected again, and knows no refusals. */
  greeting(): void {
    this.#refused = '[]';
  }

  #carryOut(): void {
    const { room, channel } = this.#parts;
    const wanted = new Set(this.#orders.map(({ order }) => order.id));
    for (const id of room.ids()) {
      if (!wanted.has(id)) {
        room.end(id);
      }
    }
    if (!channel.open) {
      return;
    }
    const refused = this.#orders.flatMap(({ order, until }) => this.#begin(order, until - this.#now()));
    const text = JSON.stringify(refused);
    if (text !== this.#refused) {
      this.#refused = text;
      this.#parts.refused(refused);
    }
  }

  #begin({ leaseMs: _, ...request }: LookOrder, leaseMs: number): LookRefusal[] {
    const { room, log } = this.#parts;
    if (leaseMs <= 0 || room.renew(request.id, leaseMs)) {
      return [];
    }
    try {
      room.begin(request, leaseMs);
      this.#followed.set(request.id, { run: randomInt(2 ** 32), lost: 0 });
      return [];
    } catch (error) {
      if (!(error instanceof LookRefused)) {
        throw error;
      }
      log.warn({ look: request.id, reason: reason(error) }, 'look refused');
      const { field, message } = error;
      return [{ look: request.id, ...(field !== undefined && { field }), message }];
    }
  }

  #tell({ look, packets, drops, counts, unseen, unheard }: LookReport, ended?: LookEnd): void {
    const followed = this.#followed.get(look);
    if (followed === undefined) {
      return;
    }
    const named = packets.flatMap((packet) => this.#named(packet));
    followed.lost += packets.length - named.length;
    const { names, channel } = this.#parts;
    const end = { ...(unheard !== undefined && { unheard }), ...(ended && { ended }) };
    const head = { look, run: followed.run, unseen: names.unseen(unseen), ...end };
    const batch: LookBatch = {
      ...head,
      counts: { ...counts, lostOnTheWay: followed.lost },
      packets: named,
      drops: this.#told(drops),
    };
    for (const part of divideBatch(batch)) {
      const counted = { ...part, counts: { ...part.counts, lostOnTheWay: followed.lost } };
      if (!channel.send(encodeLookBatch(counted))) {
        followed.lost += part.packets.length;
      }
    }
  }

  #named(packet: LookPacket): LookBatch['packets'] {
    const owner = this.#parts.names.of(packet);
    const { at, place, length, packets, gsoSize, vlan, packet: id, fate, bytes } = packet;
    const direction = place === 'sent' ? 'outbound' : 'inbound';
    const tag = vlan && { vlan: vlan.tci & 0xfff };
    const seen = { at, place, direction, length, captured: bytes.length, packets, gsoSize, copy: fate, bytes } as const;
    return owner === undefined ? [] : [{ ...owner, ...seen, ...tag, ...(id !== undefined && { packet: id }) }];
  }

  #told(drops: readonly LookDrop[]): LookBatch['drops'] {
    return drops.map(({ at, packet, cause, reason: name, function: by, ifindex, length, packets, gsoSize, bytes }) => {
      const device = this.#parts.names.deviceOf(ifindex);
      const id = packet !== undefined && { packet };
      return { at, ...id, cause, reason: name, function: by, device, length, packets, gsoSize, bytes };
    });
  }

  #ended(id: string, why: LookEnd, last: LookReport): void {
    this.#tell(last, why);
    this.#followed.delete(id);
    this.#want();
    // One that was refused may have its place.
    this.#carryOut();
  }

  #want(): void {
    this.#parts.channel.want(this.#orders.length > 0 || this.#followed.size > 0);
  }
}
