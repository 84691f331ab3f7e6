/**
 * Hears what the kernel drops while there are looks. The program and its maps belong to this
 * process: nothing of them is pinned, so nothing is left when it ends, however it ends.
 */
import type { LookCounts, LookDrop, LookEntry } from '../datapath.ts';
import { causeOf } from '../drop-cause.ts';
import { HEAR_OBJECT_PATH } from './brought.ts';
import { DropReasons } from './drop-reasons.ts';
import {
  type Around,
  decodeDrop,
  encodeHearing,
  FUNCTION_BYTES,
  HEAR_LAYOUT,
  HEAR_PROGRAM,
  type HearingRow,
  type ToldDrop,
} from './hear-layout.ts';
import { type Installation, MAPS } from './install.ts';
import { sumPerCpu, u32Key } from './layout.ts';
import { attachTracing, BpfMap, closeFd, loadObject, missesOf, possibleCpus, RingReader } from './libbpf.ts';
import type { LookSlot } from './look-layout.ts';

/** The attached program. */
interface Attached {
  program: number;
  row: BpfMap;
  counters: BpfMap;
  functions: BpfMap;
  reader: RingReader;
  close(): void;
}

/** What a look had when it began. */
interface Base {
  serial: number;
  heard: number;
  lost: number;
  /** Since it began: what was read and is no loss. */
  noLoss: number;
}

const MUTE_SWITCH = 'this kernel does not tell what Open vSwitch drops: Linux does since 6.6';

export class Hearing {
  readonly #maps: Installation['maps'];
  readonly #object: string;
  readonly #reasons = new DropReasons();
  readonly #functions = new Map<bigint, string>();
  readonly #bases = new Map<string, Base>();
  #attached: Attached | undefined;
  /** Why the program cannot be attached. It is tried again when looks begin again. */
  #refused: string | undefined;
  #devices: Pick<Around, 'bridges' | 'guests'> = { bridges: new Set(), guests: new Set() };
  #written: Buffer = Buffer.alloc(0);

  /** @param maps of the data plane @param object the object file. Default: the one of this release */
  constructor(maps: Installation['maps'], object = HEAR_OBJECT_PATH) {
    this.#maps = maps;
    this.#object = object;
  }

  /**
   * Hears for these looks from now on, and for no others. The program is attached while there are
   * any.
   * @returns why it cannot hear, or not all. Undefined: it does, or there is no look
   */
  follow(
    looks: readonly LookEntry[],
    slots: ReadonlyMap<string, LookSlot>,
    node: Pick<HearingRow, 'netns' | 'own'>,
  ): string | undefined {
    if (looks.length === 0) {
      this.close();
      return undefined;
    }
    if (this.#refused === undefined && this.#attached === undefined) {
      try {
        this.#attached = this.#attach();
      } catch (error) {
        this.#refused = reasonOf(error as Error);
      }
    }
    if (this.#refused !== undefined) {
      return this.#refused;
    }
    this.#devices = {
      bridges: new Set(looks.flatMap(({ ports = [] }) => ports.map(({ bridge }) => bridge))),
      guests: new Set(looks.flatMap(({ hooks }) => hooks.map(({ ifindex }) => ifindex))),
    };
    this.#write({ ...node, looks: looks.map(({ id, endsAt }) => ({ ...slots.get(id)!, endsAt })) });
    this.#keepBases(slots);
    const isMute = looks.some(({ isOnOpenVswitch }) => isOnOpenVswitch) && !this.#reasons.hasSubsystem('OPENVSWITCH');
    return isMute ? MUTE_SWITCH : undefined;
  }

  #attach(): Attached {
    this.#reasons.open();
    const shared = Object.fromEntries(MAPS.map((name) => [name, this.#maps[name].fd]));
    const object = loadObject(this.#object, {}, shared);
    let link: number | undefined;
    try {
      const map = (name: string) => new BpfMap(name, object.map(name));
      const program = object.program(HEAR_PROGRAM);
      const [row, counters, functions] = [map('hearing'), map('hearing_counters'), map('drop_functions')];
      link = attachTracing(program);
      const reader = new RingReader(map('heard_drops'));
      const close = () => {
        closeFd(link!);
        reader.close();
        object.close();
      };
      return { program, row, counters, functions, reader, close };
    } catch (error) {
      if (link !== undefined) {
        closeFd(link);
      }
      object.close();
      throw error;
    }
  }

  #write(row: HearingRow): void {
    const value = encodeHearing(row);
    if (!value.equals(this.#written)) {
      this.#attached!.row.update(u32Key(0), value);
      this.#written = value;
    }
  }

  /** Slots are used again: what others before a look have counted is not its own. */
  #keepBases(slots: ReadonlyMap<string, LookSlot>): void {
    for (const id of this.#bases.keys().filter((known) => !slots.has(known))) {
      this.#bases.delete(id);
    }
    for (const [id, { slot, serial }] of slots) {
      if (this.#bases.get(id)?.serial !== serial) {
        this.#bases.set(id, { serial, ...this.#totals(slot), noLoss: 0 });
      }
    }
  }

  /** The misses of the program count as heard and lost by each look. */
  #totals(slot: number): { heard: number; lost: number } {
    const { counters, program } = this.#attached!;
    const values = Buffer.alloc(HEAR_LAYOUT.hearing_counters.size * possibleCpus());
    counters.lookup(u32Key(slot), values);
    const [heard, , overRate, ringFull] = sumPerCpu(values, HEAR_LAYOUT.hearing_counters.size) as [
      number,
      number,
      number,
      number,
    ];
    const missed = missesOf(program);
    return { heard: heard + missed, lost: overRate + ringFull + missed };
  }

  /** Counts of a look since it began. */
  counts(id: string, { slot }: LookSlot): Pick<LookCounts, 'dropsHeard' | 'dropsLost'> {
    const base = this.#bases.get(id);
    if (this.#attached === undefined || base === undefined) {
      return { dropsHeard: 0, dropsLost: 0 };
    }
    const { heard, lost } = this.#totals(slot);
    return { dropsHeard: heard - base.heard - base.noLoss, dropsLost: lost - base.lost };
  }

  /**
   * What was heard since the last call. What is no loss is left out.
   * @param most at most so many @param looks ids by their serials @param began as for `decodeDrop`
   */
  read(most: number, looks: ReadonlyMap<number, string>, began: number): LookDrop[] {
    const nameOf = (reason: number) => this.#reasons.nameOf(reason);
    return (this.#attached?.reader.read(most) ?? []).flatMap((record) => {
      const drop = decodeDrop(record, { began, nameOf, ...this.#devices });
      const look = looks.get(drop.serial);
      return look === undefined ? [] : this.#judge(look, drop);
    });
  }

  #judge(look: string, { serial: _, address, facts, ...drop }: ToldDrop): LookDrop[] {
    const name = this.#functionAt(address);
    const cause = causeOf({ ...facts, function: name });
    if (cause === undefined) {
      this.#bases.get(look)!.noLoss++;
      return [];
    }
    return [{ ...drop, look, cause, function: name }];
  }

  /** Empty: not known. */
  #functionAt(address: bigint): string {
    let name = this.#functions.get(address);
    if (name === undefined) {
      const key = Buffer.alloc(8);
      key.writeBigUInt64LE(address);
      const value = Buffer.alloc(FUNCTION_BYTES);
      this.#attached!.functions.lookup(key, value);
      // Compilers give parts of functions a suffix, as in `br_handle_frame.cold`.
      name = value.toString('latin1').split('\0', 1)[0]!.split(/[.[ ]/, 1)[0]!;
      this.#functions.set(address, name.startsWith('0x') ? '' : name);
    }
    return this.#functions.get(address)!;
  }

  close(): void {
    this.#attached?.close();
    this.#attached = undefined;
    this.#refused = undefined;
    this.#written = Buffer.alloc(0);
    this.#bases.clear();
    this.#functions.clear();
  }
}

/** In one line, without what the verifier says. */
function reasonOf({ message }: Error): string {
  const [line] = message.split('\n', 1);
  return `drops of this kernel are not heard, which needs Linux 5.17 or later with BTF: ${line}`;
}
