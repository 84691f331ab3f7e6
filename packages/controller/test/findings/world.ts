/** Two guests on two nodes, packets between them, and what a look would have seen of these. */
import { createHash } from 'node:crypto';
import type { DropCause, FindingAnswer, LookPlace } from '@mirrorplane/contract';
import { answerOf } from '../../src/findings/answer.ts';
import type { Circumstances } from '../../src/findings/circumstances.ts';
import { Conversations, type Way } from '../../src/findings/conversations.ts';
import type { ToldDrop } from '../../src/findings/drops.ts';
import type { Nic } from './frames.ts';

export const WEB: Nic = { mac: '02:00:00:00:00:01', address: '10.0.0.1' };
export const DB: Nic = { mac: '02:00:00:00:00:02', address: '10.0.0.2' };
export const ENDS = { from: 'web-1/0', to: 'db-1/0' };

/** What becomes of a packet. Default: it is delivered. */
export interface Fate {
  /** The last place that sees it. */
  last?: LookPlace;
  /** What a kernel says of its end. */
  drop?: { node: string; cause: DropCause; device?: string; reason?: string };
  /** Places that see it, in this order. Default: all up to `last`. */
  places?: readonly LookPlace[];
  /** Seen too early or too late to be missing elsewhere. */
  uncounted?: boolean;
}

/** A packet as one place sees it, where that is not as it was sent. */
export interface Shape {
  gsoSize?: number;
  packets?: number;
  /** Bytes of the whole frame, as its node tells them. */
  length?: number;
}

const PLACES: readonly LookPlace[] = ['sent', 'arrived', 'delivered'];

/** Sends packets, and asks what is found. */
export class World {
  readonly around: Circumstances;
  readonly conversations: Conversations;
  readonly drops: ToldDrop[] = [];
  #number = 0;

  /** @param around what differs from a look that has seen all */
  constructor(around: Partial<Circumstances> = {}) {
    this.around = {
      lookLost: [],
      notSeen: [],
      notHeard: [],
      moved: [],
      tooMany: false,
      nodes: { from: 'node-1', to: 'node-2' },
      seconds: 30,
      ...around,
    };
    this.conversations = new Conversations({
      from: { id: ENDS.from, macs: new Set([WEB.mac]) },
      to: { id: ENDS.to, macs: new Set([DB.mac]) },
    });
  }

  /** A frame goes a way. */
  send(way: Way, frame: Buffer, fate: Fate = {}, shape: Shape = {}): void {
    const places = fate.places ?? PLACES.slice(0, PLACES.indexOf(fate.last ?? 'delivered') + 1);
    for (const place of places) {
      this.see(way, place, frame, { counted: !fate.uncounted, ...shape });
    }
    if (fate.drop !== undefined) {
      this.drop(frame, fate.drop, shape);
    }
  }

  /** One place sees a frame. */
  see(
    way: Way,
    place: LookPlace,
    frame: Buffer,
    { counted = true, gsoSize = 0, packets = 1, length = frame.length } = {},
  ): void {
    const isSender = place === 'sent';
    const isFirst = (way === 'there') === isSender;
    const { from, to } = this.around.nodes;
    this.#number++;
    this.conversations.add(
      {
        number: this.#number,
        at: 1_700_000_000_000_000 + this.#number * 1000,
        node: isFirst ? from : to,
        interface: isFirst ? ENDS.from : ENDS.to,
        interfaceName: '',
        device: place === 'arrived' ? 'trunk0' : isFirst ? 'tap-web-1' : 'tap-db-1',
        place,
        direction: isSender ? 'outbound' : 'inbound',
        length,
        captured: Math.min(frame.length, 128),
        packets,
        gsoSize,
        packet: idOf(frame),
        copy: 'noCapture',
        original: { state: 'unknown' },
        lostBefore: 0,
        bytes: frame.subarray(0, 128),
      },
      counted,
    );
  }

  /** A kernel tells that it has dropped a frame. */
  drop(
    frame: Buffer,
    { node, cause, device = 'br0', reason = 'REASON' }: NonNullable<Fate['drop']>,
    shape: Shape = {},
  ): void {
    this.drops.push({
      at: 1_700_000_000_000_000 + this.#number * 1000,
      node,
      packet: idOf(frame),
      cause,
      reason,
      function: 'nf_hook_slow',
      device,
      packets: shape.packets ?? 1,
      length: frame.length,
      gsoSize: shape.gsoSize ?? 0,
      bytes: frame.subarray(0, 128),
    });
  }

  answer(): FindingAnswer {
    return answerOf({
      conversations: this.conversations,
      drops: this.drops,
      around: this.around,
      ends: ENDS,
      isKnown: true,
      most: 100_000,
    });
  }
}

/** As the data plane makes one: the same for the same frame. */
function idOf(frame: Buffer): string {
  return createHash('sha1').update(frame.subarray(0, 76)).digest('hex').slice(0, 16);
}
