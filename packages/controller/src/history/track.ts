/** All series of one policy or one node, each made when it is needed. */
import { Series } from './series.ts';

/** How many series there are, and may be, of all tracks together. */
export interface Room {
  used: number;
  readonly most: number;
}

/** Series of one track at most. */
const MAX_OF_TRACK = 160;

export class Track {
  readonly #series = new Map<string, Series>();
  readonly #room: Room;
  /** What the others are made like: it is known whenever the track is. */
  readonly #known: Series;
  /** The newest second. */
  last = 0;
  /** True where there was no room for a series. */
  cut = false;

  constructor(room: Room) {
    this.#room = room;
    this.#known = new Series();
    room.used++;
  }

  /**
   * Sets a second. A series that was there before and is not named is 0.
   * @param values undefined: nothing is known
   */
  set(second: number, values: ReadonlyMap<string, number> | undefined): void {
    for (const [name, value] of values ?? []) {
      if (value > 0 && !this.#series.has(name)) {
        this.#begin(name);
      }
    }
    for (const [name, series] of this.#series) {
      series.set(second, values && (values.get(name) ?? 0));
    }
    this.#known.set(second, values && 0);
    this.last = second;
  }

  /** A series. One that was never above 0 is 0 wherever the track is known. */
  get(name: string): Series {
    return this.#series.get(name) ?? this.#known;
  }

  names(): Iterable<string> {
    return this.#series.keys();
  }

  /** Gives its room back. */
  close(): void {
    this.#room.used -= this.#series.size + 1;
  }

  #begin(name: string): void {
    if (this.#series.size >= MAX_OF_TRACK || this.#room.used >= this.#room.most) {
      this.cut = true;
      return;
    }
    this.#room.used++;
    this.#series.set(name, new Series(this.#known));
  }
}
