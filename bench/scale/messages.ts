/** Messages between the measurement and its processes with simulated nodes. */

/** To a process with nodes. */
export type Order =
  | {
      type: 'start';
      /** Numbers of its nodes, the first and the last. */
      first: number;
      last: number;
      /** Nodes of the whole cluster, and sources of each. */
      size: { nodes: number; interfaces: number };
      /** HOST:PORT. */
      controller: string;
      /** Join tokens by the number of the pool. */
      tokens: Record<number, string>;
      /** Folder for certificates. */
      folder: string;
    }
  /** Connect all nodes that have joined. */
  | { type: 'connect' }
  /** A guest migrates. */
  | { type: 'move'; id: string; from: number; to: number }
  /** Tell when all nodes of a pool have reported that the policy has the threshold. */
  | { type: 'expect'; policy: string; threshold: number; first: number; last: number }
  /** Tell how far the nodes are. */
  | { type: 'ask' };

/** From a process with nodes. Times are milliseconds since 1970. */
export type Report =
  | { type: 'joined' }
  | { type: 'failed'; message: string }
  /** From the appearance of the device on the new node until it is captured there. */
  | { type: 'moved'; id: string; ms: number }
  /** The last node has sent its report at this time. */
  | { type: 'acknowledged'; policy: string; threshold: number; at: number }
  /** Nodes whose data path captures all that they have. */
  | { type: 'told'; capturing: number };

/** Milliseconds that a migrating guest has a device on both nodes. */
export const OVERLAP_MS = 200;

/** Milliseconds since 1970, with fractions: the same clock in all processes. */
export const now = () => performance.timeOrigin + performance.now();
