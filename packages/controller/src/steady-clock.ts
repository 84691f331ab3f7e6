/** A clock for leases, pauses and rates. */

/**
 * Whole milliseconds since about 1970, by a clock that never jumps: it is right as the controller
 * starts, and then goes its own way where the time of the host is set. For durations alone.
 */
export const steadyClock = (): number => Math.round(performance.timeOrigin + performance.now());
