/** That ends are judged by a time which the host has not reached. */

interface Clocks {
  /** Time of the host, milliseconds since 1970. */
  clock: () => number;
  /** The same for what ends. */
  endClock: () => number;
}

/** Milliseconds that a clock may be set back without a word. */
const TOLERATED_MS = 60_000;

/**
 * What is wrong where the latest time that was seen is more than a minute ahead of the host's clock.
 * Undefined: it is not.
 */
export function timeAhead({ clock, endClock }: Clocks): string | undefined {
  const seen = endClock();
  const ahead = seen - clock();
  if (ahead <= TOLERATED_MS) {
    return undefined;
  }
  const time = new Date(seen).toISOString();
  return `the latest time seen, ${time}, is ${spanOf(ahead)} ahead of this host: tokens, sessions and policies end too early. If the clock of this host is right, stop all controllers, say "mirrorplane store reset-time" on this host, and start them`;
}

/** A time span in words. @param ms more than a minute */
function spanOf(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 120) {
    return `${minutes} min`;
  }
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / (24 * 60))} d`;
}
