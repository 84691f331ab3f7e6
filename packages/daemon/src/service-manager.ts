/**
 * Messages of a daemon to its service manager, by sd_notify(3): one datagram for each message, to
 * the socket in NOTIFY_SOCKET. Node.js has no Unix datagram sockets, so this file calls libc.
 */

/** The service manager. If the daemon was started by hand, every call does nothing. */
export interface ServiceManager {
  /** The daemon is up. */
  ready(): void;
  /** One line for `systemctl status`. */
  status(text: string): void;
  /**
   * Sends watchdog messages at the interval of the service manager while `alive` returns true. They
   * come from the main loop, so a blocked main loop sends none.
   */
  watch(alive: () => boolean): void;
  /** The daemon is about to end. Ends the watchdog messages. */
  stopping(): void;
}

/** sa_family of a Unix socket, and the length of its path, sys/un.h. */
const AF_UNIX = 1;
const SUN_PATH = 108;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/** No service manager. */
const NOBODY: ServiceManager = { ready() {}, status() {}, watch() {}, stopping() {} };

/**
 * Opens the connection to the service manager. Removes its variables from `env`, so that no child
 * process uses them.
 * @throws Error where NOTIFY_SOCKET names no socket that can be used
 */
export async function openServiceManager(env: NodeJS.ProcessEnv = process.env): Promise<ServiceManager> {
  const { NOTIFY_SOCKET: path, WATCHDOG_USEC: limit, WATCHDOG_PID: watched } = env;
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) {
    delete env[name];
  }
  if (!path) {
    return NOBODY;
  }
  const send = await openSocket(path);
  const interval = watched === undefined || Number(watched) === process.pid ? Number(limit) / 2000 : Number.NaN;
  let timer: NodeJS.Timeout | undefined;
  return {
    ready: () => send('READY=1'),
    status: (text) => send(`STATUS=${text.replaceAll('\n', ' ')}`),
    watch(alive) {
      if (!(interval > 0)) {
        return;
      }
      clearInterval(timer);
      timer = setInterval(() => {
        if (alive()) {
          send('WATCHDOG=1');
        }
      }, interval);
      timer.unref();
    },
    stopping() {
      clearInterval(timer);
      send('STOPPING=1');
    },
  };
}

async function openSocket(path: string): Promise<(message: string) => void> {
  const address = socketAddress(path);
  const { default: koffi } = await import('koffi');
  const libc = koffi.load('libc.so.6');
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const sendto = libc.func(
    'int64_t sendto(int fd, const void *data, size_t size, int flags, const void *address, uint32_t length)',
  );
  const descriptor: number = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    throw new Error(`no socket for NOTIFY_SOCKET: errno ${koffi.errno()}`);
  }
  return (message) => {
    const data = Buffer.from(message);
    // A failure to send is ignored. If watchdog messages do not arrive, the service manager acts.
    sendto(descriptor, data, data.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length);
  };
}

/** struct sockaddr_un of a path, or of an abstract name, which begins with "@". */
function socketAddress(path: string): Buffer {
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : path);
  if (!/^[@/]/.test(path) || name.length >= SUN_PATH) {
    throw new Error(`NOTIFY_SOCKET is "${path}": it must be a path or an abstract name of less than ${SUN_PATH} bytes`);
  }
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, name]);
}
