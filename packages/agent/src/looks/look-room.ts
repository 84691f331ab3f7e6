/**
 * The looks of this node: who may begin one, how long it lives, and reading what it sees. A look
 * ends with its lease: when nobody renews it, the person who looked is gone.
 */
import { EventEmitter } from 'node:events';
import { COPY_FATES, type CopyFate, compileWords, LOOK_LIMITS } from '@mirrorplane/contract';
import type {
  ApplyResult,
  Datapath,
  LookCounts,
  LookDrop,
  LookGap,
  LookPacket,
  LookReading,
} from '../datapath/datapath.ts';
import { type Logger, reason } from '../log.ts';
import type { LookWish } from './look-plan.ts';

/** A look as it is asked for. */
export interface LookRequest {
  id: string;
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
  counts: LookCounts;
  ending?: { why: LookEnd; since: number; stopped: boolean };
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
  /** It sees nothing any more. `last` has what it saw since the last report. */
  end: [look: string, why: LookEnd, last: LookReport];
}

/** Milliseconds between two readings. */
const READ_INTERVAL_MS = 100;
/** Packets of one reading, at most: four looks at full rate make 800. */
const READ_MOST = 2000;
/** Milliseconds after which a look ends even if no pass has stopped it. */
const STOP_LIMIT_MS = 2000;
const NOTHING: LookCounts = { seen: 0, written: 0, overRate: 0, ringFull: 0, dropsHeard: 0, dropsLost: 0 };

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

  /** Ids of looks that do not end just now, the oldest first. */
  ids(): string[] {
    return [...this.#looks].flatMap(([id, { ending }]) => (ending === undefined ? [id] : []));
  }

  /**
   * Begins a look. One with this id is replaced.
   * @param leaseMs milliseconds that it lives unless it is renewed, at most LOOK_LIMITS.leaseMs
   * @throws LookRefused
   */
  begin(request: LookRequest, leaseMs: number = LOOK_LIMITS.leaseMs): void {
    const wish = wishOf(request);
    if (!this.#looks.has(request.id) && this.#looks.size >= LOOK_LIMITS.looks) {
      const ids = [...this.#looks.keys()].join(', ');
      throw new LookRefused(`this node has ${LOOK_LIMITS.looks} looks already (${ids}): end one of them`);
    }
    const now = this.#now();
    this.#looks.set(request.id, {
      request,
      wish,
      leaseEnds: now + Math.min(leaseMs, LOOK_LIMITS.leaseMs),
      ageEnds: now + LOOK_LIMITS.ageMs,
      unseen: [],
      counts: NOTHING,
    });
    this.#parts.log.info({ look: request.id }, 'look begins');
    this.#timer ??= setInterval(() => void this.#turn(), READ_INTERVAL_MS);
    this.#parts.changed();
  }

  /**
   * Lets a look live on for another lease.
   * @param leaseMs milliseconds from now, at most LOOK_LIMITS.leaseMs
   * @returns false: there is none with this id, or it ends just now
   */
  renew(id: string, leaseMs: number = LOOK_LIMITS.leaseMs): boolean {
    const look = this.#looks.get(id);
    if (look === undefined || look.ending !== undefined) {
      return false;
    }
    look.leaseEnds = this.#now() + Math.min(leaseMs, LOOK_LIMITS.leaseMs);
    this.#parts.changed();
    return true;
  }

  /**
   * Ends a look, if it is there. It is read once more after the next pass has stopped it, and then
   * `end` is told.
   */
  end(id: string): void {
    const look = this.#looks.get(id);
    if (look !== undefined && look.ending === undefined) {
      const now = this.#now();
      look.leaseEnds = now;
      look.ending = { why: 'asked', since: now, stopped: false };
      this.#parts.changed();
    }
  }

  /** What the data path is to look at. */
  wishes(): LookWish[] {
    return [...this.#looks.values()].map(({ wish, leaseEnds, ageEnds }) => ({
      ...wish,
      endsAt: Math.min(leaseEnds, ageEnds),
    }));
  }

  /**
   * Notes where looks see nothing since the last pass, and why they do not hear drops.
   * @param wishes that the pass has carried out
   */
  applied(unseen: readonly LookGap[], unheard: ApplyResult['unheard'], wishes: readonly LookWish[]): void {
    this.#unheard = unheard;
    const ends = new Map(wishes.map(({ id, endsAt }) => [id, endsAt]));
    for (const [id, look] of this.#looks) {
      look.unseen = unseen.filter((gap) => gap.look === id);
      if (look.ending !== undefined && ends.get(id)! <= look.ending.since) {
        look.ending.stopped = true;
      }
    }
  }

  /** Ends all looks without a word. The data plane goes on until their ends. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#looks.clear();
    await this.#reading;
  }

  /** Reads once more what looks have seen that were stopped before, and then ends them. */
  async #turn(): Promise<void> {
    const now = this.#now();
    for (const look of this.#looks.values()) {
      const { leaseEnds, ageEnds, ending } = look;
      if (ending === undefined && now >= Math.min(leaseEnds, ageEnds)) {
        // The kernel has stopped it at this time.
        look.ending = { why: ageEnds <= leaseEnds ? 'age' : 'lease', since: now, stopped: true };
      }
    }
    this.#reading ??= this.#read(now).finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
  }

  async #read(now: number): Promise<void> {
    const stopped = [...this.#looks].filter(([, { ending }]) => {
      return ending !== undefined && (ending.stopped || now >= ending.since + STOP_LIMIT_MS);
    });
    const ending = new Set(stopped.map(([id]) => id));
    let read: Pick<LookReading, 'packets' | 'drops'> = { packets: [], drops: [] };
    try {
      const reading = await this.#parts.datapath.readLooks(READ_MOST);
      read = reading;
      for (const [id, look] of this.#looks) {
        const counted = reading.counts.get(id);
        look.counts = counted ?? look.counts;
        if (counted !== undefined && !ending.has(id)) {
          this.emit('report', this.#reportOf(id, look, read));
        }
      }
    } catch (error) {
      this.#parts.log.warn({ reason: reason(error) }, 'looks could not be read');
    }
    for (const [id, look] of stopped) {
      this.#end(id, look, this.#reportOf(id, look, read));
    }
  }

  #reportOf(
    id: string,
    { counts, unseen }: Alive,
    { packets, drops }: Pick<LookReading, 'packets' | 'drops'>,
  ): LookReport {
    const isOf = ({ look }: { look: string }) => look === id;
    const unheard = this.#unheard;
    return {
      look: id,
      packets: packets.filter(isOf),
      drops: drops.filter(isOf),
      counts,
      unseen,
      ...(unheard && { unheard }),
    };
  }

  #end(id: string, look: Alive, last: LookReport): void {
    // Another one with this id may have begun meanwhile.
    if (this.#looks.get(id) !== look) {
      return;
    }
    const { why } = look.ending!;
    this.#looks.delete(id);
    if (this.#looks.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    this.#parts.log.info({ look: id, why }, 'look has ended');
    this.emit('end', id, why, last);
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
