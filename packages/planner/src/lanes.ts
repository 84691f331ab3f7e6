/**
 * The numbers of copies in the lanes of a path, as both of its nodes report them (docs/adr/0087).
 * The sender reports how many numbers it has given in each lane, and the receiver the number that it
 * expects next, of which there are 28 bits.
 */

/** Numbers of a lane, after which they begin again. */
const NUMBERS = 2 ** 28;

/** What shows that a sender has begun its numbers again. Absent: it is not known that it has. */
export interface Runs {
  /** Numbers of each lane that were given by the last reading of the sender. */
  latest?: readonly number[] | undefined;
  /** What the receiver expected in each lane at an earlier moment. */
  earlier?: readonly number[] | undefined;
}

/**
 * How many numbers had been given, but neither came nor were passed by a later one. A lane in which the
 * sender has begun again has none: its numbers of before cannot be compared with what comes now.
 * @param given numbers of each lane, of a moment so long ago that their copies have come or are lost
 * @param expected numbers of each lane; 0: nothing has come in it, and it is not known what should have
 */
export function waitedFor(
  given: readonly number[] = [],
  expected: readonly number[] = [],
  { latest = given, earlier = [] }: Runs = {},
): number {
  return sumOver(given.length, (lane) => {
    const [count, next, before] = [given[lane]!, expected[lane] ?? 0, earlier[lane] ?? 0];
    const isNewRun =
      // The receiver has heard an earlier run: it expects more than was ever given in this one.
      (count < NUMBERS && next > count) ||
      // The sender has told of a new run since.
      (latest[lane] ?? 0) < count ||
      // The receiver has heard a new run: what it expects has gone back.
      (before !== 0 && ahead(next, before) < 0);
    return next === 0 || isNewRun ? 0 : Math.max(0, ahead(count, next));
  });
}

/**
 * How many numbers were given after a moment, and have come or were passed by a later one.
 * @param given numbers of each lane at this moment
 * @param expected numbers of each lane; 0: nothing has come in it
 * @param later numbers of each lane that were given at a moment after `expected` was read
 */
export function passed(given: readonly number[], expected: readonly number[], later: readonly number[]): number {
  return sumOver(expected.length, (lane) => {
    const [before, next, after] = [given[lane] ?? 0, expected[lane]!, later[lane] ?? 0];
    const count = ahead(next, before);
    // More than was given meanwhile: of an earlier run of the sender.
    return next === 0 || count < 0 || count > after - before ? 0 : count;
  });
}

/** How far one number is ahead of another, negative where it is behind. */
function ahead(a: number, b: number): number {
  const difference = (((a - b) % NUMBERS) + NUMBERS) % NUMBERS;
  return difference < NUMBERS / 2 ? difference : difference - NUMBERS;
}

function sumOver(lanes: number, of: (lane: number) => number): number {
  let sum = 0;
  for (let lane = 0; lane < lanes; lane++) {
    sum += of(lane);
  }
  return sum;
}
