/**
 * A netlink socket that survives an overrun. The `netlink` package ends the process when its
 * descriptor reports an error, because it builds the error from a null pointer. An overrun of the
 * receive buffer is such an error. So the kernel is told to drop notifications silently, and the
 * drops are read from /proc/net/netlink.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import koffi from 'koffi';
// Not the whole package: most of it describes messages that the agent reads by itself, and would stay in memory.
import { Protocol } from 'netlink/dist/constants.js';
import { createNetlink } from 'netlink/dist/netlink.js';

/** A socket of the package. */
export type Socket = ReturnType<typeof createNetlink>;

const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_NO_ENOBUFS = 5;

let setsockopt: ReturnType<ReturnType<typeof koffi.load>['func']> | undefined;

/**
 * Opens an rtnetlink socket that does not keep the process alive.
 * @param receiveBuffer bytes; may exceed the limit of the system
 * @throws Error if the kernel refuses, or /proc is not mounted
 */
export function openSocket(receiveBuffer: number): Socket {
  const socket = createNetlink(Protocol.ROUTE, { ref: false } as Parameters<typeof createNetlink>[1]);
  try {
    const descriptor = descriptorOf(rowOf(socket).inode);
    setOption(descriptor, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
    setOption(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, receiveBuffer);
  } catch (error) {
    socket.close();
    throw error;
  }
  return socket;
}

/** Number of messages for this socket that the kernel has dropped since it was opened. */
export function dropsOf(socket: Socket): number {
  return rowOf(socket).drops;
}

/**
 * The line of /proc/net/netlink: sk, protocol, port, groups, memory (2), dump, locks, drops, inode.
 */
function rowOf(socket: Socket): { drops: number; inode: number } {
  const port = String(socket.address().port);
  for (const line of readFileSync('/proc/net/netlink', 'utf8').split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (fields[1] === '0' && fields[2] === port) {
      return { drops: Number(fields[8]), inode: Number(fields[9]) };
    }
  }
  throw new Error(`netlink socket ${port} is not listed in /proc/net/netlink`);
}

function descriptorOf(inode: number): number {
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`) === `socket:[${inode}]`) {
        return Number(name);
      }
    } catch {
      // The descriptor for reading the folder itself is closed by now.
    }
  }
  throw new Error(`netlink socket with inode ${inode} is not in /proc/self/fd`);
}

function setOption(descriptor: number, level: number, option: number, value: number): void {
  setsockopt ??= koffi.load('libc.so.6').func('int setsockopt(int, int, int, const int *, uint32_t)');
  if (setsockopt(descriptor, level, option, [value], 4) !== 0) {
    throw new Error(`netlink socket option ${level}/${option} was refused: errno ${koffi.errno()}`);
  }
}
