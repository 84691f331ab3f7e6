/**
 * The looks of this node: who may begin one, how long it lives, and reading what it sees. A look
 * ends with its lease: when nobody renews it, the person who looked is gone.
 */
import { EventEmitter } from 'node:events';
import { COPY_FATES, type CopyFate, compileWords, LOOK_LIMITS } from '@mirrorplane/contract';
import type { ApplyResult, Datapath, LookCounts, LookDrop, LookGap, LookPacket } from '../datapath/datapath.ts';
import { type Logger, reason } from '../log.ts';
import type { LookWish } from './look-plan.ts';

/** A look as it is asked for. */
export interface LookRequest {
  id: string;
  /** Who looks, for the log. */
  owner: string;
  /** 1 to LOOK_LIMITS.interfaces ids of interfaces, or the id of a policy. */
  of: LookWish['of'];
  /** Capture words. Default all packets. */
  words?: string;
  /** Default all. */
  fates?: readonly CopyFate[];
  /** Packets with what guests say to each other, not headers alone. Default false. */
  payload?: boolean;
  /** Packets a second, 1 to LOOK_LIMITS.packetRate. Default the most. */
  packetRate?: number;
}

/**
 * A look that cannot begin. The message says which part of the request is wrong, and the remedy.
 */
export class LookRefused extends Error {
  readonly field: keyof LookRequest | undefined;

  constructor(message: string, field?: keyof LookRequest) {
    super(message);
    this.name = 'LookRefused';
    this.field = field;
  }
}

/**
 * Why a look has ended: it was asked to, its lease was not renewed, or it has lived long enough.
 */
export type LookEnd = 'asked' | 'lease' | 'age';

/** What a look has seen since the last report. */
export interface LookReport {
  look: string;
  packets: LookPacket[];
  drops: LookDrop[];
  /** Since it began. */
  counts: LookCounts;
  /** Where it sees nothing, or not all. */
  unseen: readonly LookGap[];
  /** Why it hears no drops. Left out: it does. */
  unheard?: string;
}

interface Alive {
  request: LookRequest;
  wish: Omit<LookWish, 'endsAt'>;
  leaseEnds: number;
  ageEnds: number;
  unseen: readonly LookGap[];
}

export interface LookRoomParts {
  datapath: Pick<Datapath, 'readLooks'>;
  /** The wishes have changed: a pass is due. */
  changed: () => void;
  log: Logger;
  /** Milliseconds of CLOCK_MONOTONIC. Default those of the system. */
  now?: () => number;
}

interface LookEvents {
  report: [LookReport];
  end: [look: string, why: LookEnd];
}

/** Milliseconds between two readings. */
const READ_INTERVAL_MS = 100;
/** Packets of one reading, at most: four looks at full rate make 800. */
const READ_MOST = 2000;

/** Holds looks from `begin` to their end. */
export class LookRoom extends EventEmitter<LookEvents> {
  readonly #parts: LookRoomParts;
  readonly #now: () => number;
  readonly #looks = new Map<string, Alive>();
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;
  #unheard: string | undefined;

  constructor(parts: LookRoomParts) {
    super();
    this.#parts = parts;
    this.#now = parts.now ?? (() => Number(process.hrtime.bigint() / 1000n) / 1000);
  }

  /** Begins a look. One with this id is replaced. @throws LookRefused */
  begin(request: LookRequest): void {
    const wish = wishOf(request);
    if (!this.#looks.has(request.id) && this.#looks.size >= LOOK_LIMITS.looks) {
      const owners = [...this.#looks.values()].map((look) => look.request.owner).join(', ');
      throw new LookRefused(`this node has ${LOOK_LIMITS.looks} looks already (of ${owners}): end one of them`);
    }
    const now = this.#now();
    this.#looks.set(request.id, {
      request,
      wish,
      leaseEnds: now + LOOK_LIMITS.leaseMs,
      ageEnds: now + LOOK_LIMITS.ageMs,
      unseen: [],
    });
    this.#parts.log.info({ look: request.id, owner: request.owner }, 'look begins');
    this.#timer ??= setInterval(() => void this.#turn(), READ_INTERVAL_MS);
    this.#parts.changed();
  }

  /** Lets a look live on for another lease. @returns false: there is none with this id */
  renew(id: string): boolean {
    const look = this.#looks.get(id);
    if (look === undefined) {
      return false;
    }
    look.leaseEnds = this.#now() + LOOK_LIMITS.leaseMs;
    this.#parts.changed();
    return true;
  }

  /** Ends a look, if it is there. */
  end(id: string): void {
    this.#end(id, 'asked');
  }

  /** What the data path is to look at. */
  wishes(): LookWish[] {
    return [...this.#looks.values()].map(({ wish, leaseEnds, ageEnds }) => ({
      ...wish,
      endsAt: Math.min(leaseEnds, ageEnds),
    }));
  }

  /** Notes where looks see nothing since the last pass, and why they do not hear drops. */
  applied(unseen: readonly LookGap[], unheard: ApplyResult['unheard']): void {
    this.#unheard = unheard;
    for (const [id, look] of this.#looks) {
      look.unseen = unseen.filter((gap) => gap.look === id);
    }
  }

  /** Ends all looks without a word. The data plane goes on until their ends. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#looks.clear();
    await this.#reading;
  }

  /** Reads what looks have seen before those are ended whose time has come. */
  async #turn(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
    const now = this.#now();
    for (const [id, { leaseEnds, ageEnds }] of this.#looks) {
      if (now >= Math.min(leaseEnds, ageEnds)) {
        this.#end(id, ageEnds <= leaseEnds ? 'age' : 'lease');
      }
    }
  }

  async #read(): Promise<void> {
    try {
      const { packets, drops, counts } = await this.#parts.datapath.readLooks(READ_MOST);
      const packetsOf = Map.groupBy(packets, ({ look }) => look);
      const dropsOf = Map.groupBy(drops, ({ look }) => look);
      const unheard = this.#unheard;
      for (const [look, { unseen }] of this.#looks) {
        const counted = counts.get(look);
        if (counted !== undefined) {
          const [seen, heard] = [packetsOf.get(look) ?? [], dropsOf.get(look) ?? []];
          this.emit('report', {
            look,
            packets: seen,
            drops: heard,
            counts: counted,
            unseen,
            ...(unheard && { unheard }),
          });
        }
      }
    } catch (error) {
      this.#parts.log.warn({ reason: reason(error) }, 'looks could not be read');
    }
  }

  #end(id: string, why: LookEnd): void {
    const look = this.#looks.get(id);
    if (look === undefined) {
      return;
    }
    this.#looks.delete(id);
    if (this.#looks.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    this.#parts.log.info({ look: id, owner: look.request.owner, why }, 'look has ended');
    this.emit('end', id, why);
    this.#parts.changed();
  }
}

/** @throws LookRefused */
function wishOf({ id, of, words = '', fates, payload = false, packetRate }: LookRequest): Alive['wish'] {
  const { interfaces, packetRate: most, byteRate, headerBytes, payloadBytes } = LOOK_LIMITS;
  if ('interfaces' in of && !(of.interfaces.length >= 1 && of.interfaces.length <= interfaces)) {
    const count = of.interfaces.length;
    throw new LookRefused(`a look has 1 to ${interfaces} interfaces, not ${count}; or it is of a policy`, 'of');
  }
  if (packetRate !== undefined && !(packetRate >= 1 && packetRate <= most)) {
    throw new LookRefused(`packetRate has to be 1 to ${most} packets a second, not ${packetRate}`, 'packetRate');
  }
  const unknown = fates?.find((fate) => !COPY_FATES.includes(fate));
  if (unknown !== undefined) {
    throw new LookRefused(`there is no fate "${unknown}"; there are ${COPY_FATES.join(', ')}`, 'fates');
  }
  return {
    id,
    of,
    words: compiled(words),
    ...(fates && { fates }),
    length: payload ? payloadBytes : headerBytes,
    packetRate: packetRate ?? most,
    byteRate,
  };
}

function compiled(words: string): LookWish['words'] {
  try {
    return compileWords(words);
  } catch (error) {
    throw new LookRefused(reason(error), 'words');
  }
}
