/** Makes whole lists again of the differences that an agent reports. Pure but for what it remembers. */
import {
  type CaptureStatus,
  type Device,
  type InventoryMessage,
  MAX_CAPTURE_STATUSES,
  MAX_DEVICES,
  type StatusMessage,
} from '@mirrorplane/contract';

/** One list of the reports of one connection. */
class List<K, R> {
  readonly #key: (row: R) => K;
  /** Undefined: none has come. Who gets it keeps it, too: so it is one list, and no map. */
  #rows: readonly R[] | undefined;

  constructor(key: (row: R) => K) {
    this.#key = key;
  }

  /**
   * Takes a list, or a difference to the one before.
   * @param gone keys of rows that have ended; undefined: the list is whole
   * @returns the whole list, which nobody changes; undefined: it is a difference to nothing
   */
  take(rows: readonly R[], gone: readonly K[] | undefined): readonly R[] | undefined {
    if (gone === undefined) {
      this.#rows = rows;
      return rows;
    }
    if (this.#rows === undefined) {
      return undefined;
    }
    const whole = new Map(this.#rows.map((row) => [this.#key(row), row]));
    for (const key of gone) {
      whole.delete(key);
    }
    for (const row of rows) {
      whole.set(this.#key(row), row);
    }
    this.#rows = [...whole.values()];
    return this.#rows;
  }
}

/** Reasons that devices cannot be mirrored, by their text: as good as all devices of a kind have the same. */
const reasons = new Map<string, Device['notMirrorable']>();
/** More are not shared. An agent could tell any number of others. */
const MOST_REASONS = 64;

/** A device with the one object that says why others cannot be mirrored either. */
function sharing(device: Device): Device {
  const { notMirrorable } = device;
  if (notMirrorable === undefined) {
    return device;
  }
  const text = JSON.stringify(notMirrorable);
  const known = reasons.get(text) ?? notMirrorable;
  if (reasons.size < MOST_REASONS) {
    reasons.set(text, known);
  }
  return known === notMirrorable ? device : { ...device, notMirrorable: known };
}

/** What an agent has reported on one connection. */
export class ReportLists {
  readonly #devices = new List<number, Device>(({ ifindex }) => ifindex);
  readonly #captures = new List<string, CaptureStatus>(({ capture }) => capture);

  /** The whole inventory, or what is wrong. */
  inventory({ gone, ...message }: InventoryMessage): InventoryMessage | { problem: string } {
    const devices = this.#devices.take(message.devices.map(sharing), gone);
    const problem = problemOf(devices, MAX_DEVICES);
    return problem ?? { ...message, devices: devices!.toSorted((a, b) => a.ifindex - b.ifindex) };
  }

  /** The whole status, or what is wrong. */
  status({ gone, ...message }: StatusMessage): StatusMessage | { problem: string } {
    const captures = this.#captures.take(message.captures, gone);
    return problemOf(captures, MAX_CAPTURE_STATUSES) ?? { ...message, captures: captures as CaptureStatus[] };
  }
}

function problemOf(list: readonly unknown[] | undefined, most: number): { problem: string } | undefined {
  if (list === undefined) {
    return { problem: 'a difference to nothing: the first report of a connection has to be whole' };
  }
  return list.length > most ? { problem: `a list has more than ${most} items` } : undefined;
}
