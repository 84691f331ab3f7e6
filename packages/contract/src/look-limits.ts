/** Limits of looks. The command reads them without loading any schema. */

/** What a look may take at most. */
export const LOOK_LIMITS = {
  /** Looks on a node at a time. */
  looks: 4,
  /** Interfaces of a look. */
  interfaces: 4,
  /** Milliseconds that a look lives on without being renewed. */
  leaseMs: 30_000,
  /** Milliseconds that it lives in all. */
  ageMs: 600_000,
  /** Comparisons that the words of a look come to. */
  comparisons: 32,
  /** Characters of these words. */
  words: 512,
  /** Bytes of a packet: its headers. */
  headerBytes: 128,
  /** Bytes of a packet for who has the right to see what guests say to each other. */
  payloadBytes: 1600,
  /** Packets a second. */
  packetRate: 2000,
  /** Bytes of records a second: 4 Mbit. */
  byteRate: 500_000,
} as const;

/** What the controller has of looks at most. */
export const LOOK_KEEPING = {
  /** Looks of the cluster that run at a time. */
  running: 16,
  /** Those of one user with the own tokens, in the cluster and on a node: others have room. */
  each: 12,
  eachOnNode: 3,
  /** Looks that have ended and can still be read, and for how many milliseconds. */
  ended: 16,
  endedMs: 600_000,
  /** Packets of a look, the newest, and their bytes. */
  packets: 10_000,
  bytes: 8 << 20,
  /** Drops of a look, the newest. */
  drops: 10_000,
} as const;
