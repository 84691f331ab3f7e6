/**
 * The numbers of copies in the lanes of a path, as both of its nodes report them (docs/adr/0087).
 * The sender reports how many numbers it has given in each lane, and the receiver the number that it
 * expects next, of which there are 28 bits.
 */

/** Numbers of a lane, after which they begin again. */
const NUMBERS = 2 ** 28;

/**
 * How many numbers had been given, but neither came nor were passed by a later one.
 * @param given numbers of each lane, of a moment so long ago that their copies have come or are lost
 * @param expected numbers of each lane; 0: nothing has come in it, and it is not known what should have
 */
export function waitedFor(given: readonly number[] = [], expected: readonly number[] = []): number {
  return sumOver(given.length, (lane) => {
    const [count, next] = [given[lane]!, expected[lane] ?? 0];
    // A receiver that expects more than was ever given has heard an earlier run of the sender.
    return next === 0 || (count < NUMBERS && next > count) ? 0 : Math.max(0, ahead(count, next));
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
