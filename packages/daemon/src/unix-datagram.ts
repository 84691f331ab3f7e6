/**
 * Sends datagrams to a Unix socket. Node.js has no Unix datagram sockets, so this file calls libc.
 */

/** sa_family of a Unix socket, and the length of its path, sys/un.h. */
const AF_UNIX = 1;
const SUN_PATH = 108;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/** Sends datagrams without waiting. */
export interface UnixDatagrams {
  /** Returns 0, or the errno of the refusal. */
  send(message: Buffer): number;
  close(): void;
}

/**
 * Opens a socket that sends to a path, or to an abstract name, which begins with "@".
 * @param what names the setting, for the error
 * @throws Error if it is no such path
 */
export async function openUnixDatagrams(path: string, what: string): Promise<UnixDatagrams> {
  const address = socketAddress(path, what);
  const { default: koffi } = await import('koffi');
  const libc = koffi.load('libc.so.6');
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const close = libc.func('int close(int fd)');
  const sendto = libc.func(
    'int64_t sendto(int fd, const void *data, size_t size, int flags, const void *address, uint32_t length)',
  );
  const descriptor: number = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    throw new Error(`no socket for ${what}: errno ${koffi.errno()}`);
  }
  return {
    send(data) {
      const sent = sendto(descriptor, data, data.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length);
      return Number(sent) < 0 ? koffi.errno() : 0;
    },
    close: () => void close(descriptor),
  };
}

/** struct sockaddr_un of a path or an abstract name. */
function socketAddress(path: string, what: string): Buffer {
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : path);
  if (!/^[@/]/.test(path) || name.length >= SUN_PATH) {
    throw new Error(`${what} is "${path}": it must be a path or an abstract name of less than ${SUN_PATH} bytes`);
  }
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, name]);
}
