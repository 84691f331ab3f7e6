/**
 * QEMU's machine protocol (QMP): commands, answers and events as lines of JSON over a unix socket.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** Something that happened to the machine, for example `STOP` or `RESUME`. */
export interface QmpEvent {
  event: string;
  data: Record<string, unknown>;
  /** Time by QEMU's clock: milliseconds since 1970, with fractions down to a microsecond. */
  at: number;
}

interface Message {
  return?: unknown;
  error?: { class: string; desc: string };
  event?: string;
  data?: Record<string, unknown>;
  timestamp?: { seconds: number; microseconds: number };
}

interface Waiting {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/**
 * A connection to a running QEMU, which accepts one connection at a time. The caller must `close`
 * it.
 */
export class Qmp {
  /** Every event since the connection was made. */
  readonly events: QmpEvent[] = [];
  /** Called with each event. */
  onEvent: (event: QmpEvent) => void = () => undefined;
  readonly #socket: Socket;
  // QEMU answers in the order of the questions.
  readonly #asked: Waiting[] = [];
  #ended: Error | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const lines = createInterface({ input: socket });
    lines.on('line', (line) => this.#take(JSON.parse(line) as Message));
    // readline forwards errors of the socket, and throws them if it has no listener.
    for (const source of [socket, lines]) {
      source.on('error', (error: Error) => this.#end(error));
    }
    socket.on('close', () => this.#end(new Error('QEMU has closed the connection')));
  }

  /** Connects and negotiates the protocol. Throws if QEMU does not listen. */
  static async connect(path: string): Promise<Qmp> {
    const socket = connect(path);
    await once(socket, 'connect');
    const qmp = new Qmp(socket);
    await qmp.execute('qmp_capabilities');
    return qmp;
  }

  /** Runs a command. Throws with QEMU's description of what is wrong. */
  execute(command: string, args: Record<string, unknown> = {}): Promise<unknown> {
    if (this.#ended !== null) {
      return Promise.reject(this.#ended);
    }
    return new Promise((resolve, reject) => {
      const named = (error: Error) => reject(new Error(`${command}: ${error.message}`));
      this.#asked.push({ resolve, reject: named });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(message: Message): void {
    if (message.event !== undefined) {
      const { seconds = 0, microseconds = 0 } = message.timestamp ?? {};
      const event = { event: message.event, data: message.data ?? {}, at: seconds * 1000 + microseconds / 1000 };
      this.events.push(event);
      this.onEvent(event);
    } else if (message.error !== undefined) {
      this.#asked.shift()?.reject(new Error(message.error.desc));
    } else if ('return' in message) {
      this.#asked.shift()?.resolve(message.return);
    }
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#asked.splice(0)) {
      reject(this.#ended);
    }
  }
}
