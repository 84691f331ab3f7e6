/** The connection to libvirt: made when libvirt exists, and again when it was lost. */
import { existsSync } from 'node:fs';
import { Backoff } from './backoff.ts';
import type { Virsh } from './virsh.ts';

/** One of these sockets exists if a libvirt daemon runs or is started on demand. */
const SOCKETS = ['/run/libvirt/libvirt-sock-ro', '/run/libvirt/virtqemud-sock-ro'];

interface ConnectionParts {
  virsh: Virsh;
  /** Wait until a socket of the system's libvirt exists. */
  auto: boolean;
  connected: () => void;
  lost: (why: string) => void;
  /** A line with an event. */
  line: (line: string) => void;
}

export class LibvirtConnection {
  readonly #parts: ConnectionParts;
  readonly #backoff = new Backoff(() => this.open());
  readonly #timers = new Set<NodeJS.Timeout>();
  #connected = false;
  #closed = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  get connected(): boolean {
    return this.#connected;
  }

  open(): void {
    const { virsh, auto, line, connected } = this.#parts;
    if (this.#closed) {
      return;
    }
    if (auto && !SOCKETS.some((path) => existsSync(path))) {
      this.#backoff.later();
      return;
    }
    let alive = true;
    virsh.listen(line, (why) => {
      if (alive) {
        this.#lost(why);
      }
      alive = false;
    });
    this.#connected = true;
    connected();
  }

  /** The connection works: after the next loss it is made again soon. */
  works(): void {
    this.#backoff.reset();
  }

  /** Calls `what` later, if this connection still exists then. @param after milliseconds */
  later(after: number, what: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#connected) {
        what();
      }
    }, after);
    timer.unref();
    this.#timers.add(timer);
  }

  close(): void {
    this.#closed = true;
    this.#backoff.close();
    this.#clearTimers();
    this.#parts.virsh.close();
  }

  #lost(why: string): void {
    this.#connected = false;
    this.#clearTimers();
    if (this.#closed) {
      return;
    }
    this.#parts.virsh.close();
    this.#parts.lost(why);
    this.#backoff.later();
  }

  #clearTimers(): void {
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    this.#timers.clear();
  }
}
