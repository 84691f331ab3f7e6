/**
 * A client of the Open vSwitch database (RFC 7047) that only watches: JSON-RPC over its unix
 * socket.
 */
import { connect, type Socket } from 'node:net';

/** A row: column to value, as on the wire. */
export type Row = Record<string, unknown>;
/** Rows by UUID, by table. */
export type Tables = Map<string, Map<string, Row>>;

/** Milliseconds between two echo requests to the server. An answer may also take this long. */
const ECHO_INTERVAL_MS = 10_000;

/** Splits a stream of JSON objects without separators into the text of each object. */
export class JsonSplitter {
  #rest = '';
  #at = 0;
  #depth = 0;
  #quoted = false;
  #escaped = false;

  /** Adds the next part of the stream. Returns the objects that it completes. */
  push(part: string): string[] {
    this.#rest += part;
    const whole: string[] = [];
    for (; this.#at < this.#rest.length; this.#at++) {
      const c = this.#rest[this.#at];
      if (this.#quoted) {
        if (this.#escaped) {
          this.#escaped = false;
        } else if (c === '\\') {
          this.#escaped = true;
        } else if (c === '"') {
          this.#quoted = false;
        }
        continue;
      }
      if (c === '"') {
        this.#quoted = true;
      } else if (c === '{') {
        this.#depth++;
      } else if (c === '}' && --this.#depth === 0) {
        whole.push(this.#rest.slice(0, this.#at + 1));
        this.#rest = this.#rest.slice(this.#at + 1);
        this.#at = -1;
      }
    }
    return whole;
  }
}

/** Applies an update (RFC 7047, section 4.1.6) to the tables. */
export function applyUpdate(tables: Tables, update: Record<string, Record<string, { new?: Row }>>): void {
  for (const [name, rows] of Object.entries(update)) {
    const table = tables.get(name) ?? new Map<string, Row>();
    tables.set(name, table);
    for (const [uuid, change] of Object.entries(rows)) {
      if (change.new === undefined) {
        table.delete(uuid);
      } else {
        table.set(uuid, change.new);
      }
    }
  }
}

/** One connection that follows columns of tables. */
export class OvsdbMonitor {
  readonly #socket: Socket;
  readonly #splitter = new JsonSplitter();
  readonly #tables: Tables = new Map();
  readonly #changed: (tables: Tables) => void;
  readonly #ended: (why: string) => void;
  #echo: NodeJS.Timeout | undefined;
  #unanswered = false;
  #over = false;

  /**
   * Connects and begins to follow.
   * @param what.columns by table
   * @param what.changed called first with all rows, and then after every change
   * @param what.ended called once at the end, with the reason
   */
  constructor(what: {
    socket: string;
    columns: Record<string, readonly string[]>;
    changed: (tables: Tables) => void;
    ended: (why: string) => void;
  }) {
    this.#changed = what.changed;
    this.#ended = what.ended;
    this.#socket = connect(what.socket);
    this.#socket.setEncoding('utf8');
    this.#socket.on('error', (error) => this.#end(error.message));
    this.#socket.on('close', () => this.#end('the server has closed the connection'));
    this.#socket.on('data', (part) => this.#receive(String(part)));
    const requests = Object.entries(what.columns).map(([table, columns]) => [table, [{ columns }]]);
    this.#send({ id: 'monitor', method: 'monitor', params: ['Open_vSwitch', null, Object.fromEntries(requests)] });
    this.#echo = setInterval(() => {
      if (this.#unanswered) {
        this.#end('the server does not answer');
      }
      this.#unanswered = true;
      this.#send({ id: 'echo', method: 'echo', params: [] });
    }, ECHO_INTERVAL_MS);
    this.#echo.unref();
  }

  /** Closes the connection without a call of `ended`. Idempotent. */
  close(): void {
    this.#over = true;
    clearInterval(this.#echo);
    this.#socket.destroy();
  }

  #end(why: string): void {
    if (this.#over) {
      return;
    }
    this.close();
    this.#ended(why);
  }

  #send(message: object): void {
    if (!this.#over) {
      this.#socket.write(JSON.stringify(message));
    }
  }

  #receive(part: string): void {
    this.#unanswered = false;
    try {
      for (const text of this.#splitter.push(part)) {
        this.#message(JSON.parse(text));
      }
    } catch (error) {
      this.#end(`cannot be parsed: ${error instanceof Error ? error.message : error}`);
    }
  }

  #message(message: { id?: unknown; method?: string; params?: unknown[]; result?: unknown; error?: unknown }): void {
    const { id, method, params, result, error } = message;
    if (method === 'echo') {
      this.#send({ id, result: params, error: null });
    } else if (method === 'update') {
      this.#update(params?.[1]);
    } else if (id === 'monitor' && error) {
      this.#end(JSON.stringify(error));
    } else if (id === 'monitor') {
      this.#update(result);
    }
  }

  #update(update: unknown): void {
    applyUpdate(this.#tables, (update ?? {}) as Parameters<typeof applyUpdate>[1]);
    this.#changed(this.#tables);
  }
}
