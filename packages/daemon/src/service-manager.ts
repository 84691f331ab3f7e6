/**
 * Messages of a daemon to its service manager, by sd_notify(3): one datagram for each message, to
 * the socket in NOTIFY_SOCKET.
 */
import { openUnixDatagrams } from './unix-datagram.ts';

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
  const datagrams = await openUnixDatagrams(path, 'NOTIFY_SOCKET');
  // A failure to send is ignored. If watchdog messages do not arrive, the service manager acts.
  const send = (message: string) => void datagrams.send(Buffer.from(message));
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
