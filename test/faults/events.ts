/** Follows the stream of events, also over restarts of the controller. */
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControllerHost } from './world/controller.ts';

/** What is read of an event. */
export interface SeenEvent {
  id: number;
  kind: string;
  object: { kind: string; name: string };
  message: string;
}

export class EventReader {
  readonly events: SeenEvent[] = [];
  /** Messages that say that events are missing. */
  readonly gaps: string[] = [];
  readonly #controller: () => ControllerHost;
  #last = 0;
  #stopped = false;

  constructor(controller: () => ControllerHost) {
    this.#controller = controller;
  }

  /** Follows until it is stopped. Begins again where it has ended. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      await this.#follow().catch(() => undefined);
      await sleep(50);
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  #follow(): Promise<void> {
    const controller = this.#controller();
    return new Promise((resolve, reject) => {
      const headers = { ...controller.authorization(), 'last-event-id': String(this.#last) };
      const call = request({ socketPath: controller.socket, path: '/api/v1/events/stream', agent: false, headers });
      const ending = setInterval(() => this.#stopped && call.destroy(), 50);
      call.on('error', reject);
      call.on('close', () => clearInterval(ending));
      call.on('response', async (response) => {
        if (response.statusCode !== 200) {
          response.resume();
          resolve();
          return;
        }
        let rest = '';
        try {
          for await (const chunk of response.setEncoding('utf8')) {
            const messages = (rest + chunk).split('\n\n');
            rest = messages.pop()!;
            for (const message of messages) {
              this.#take(message);
            }
          }
        } catch {
          // The controller has ended.
        }
        resolve();
      });
      call.end();
    });
  }

  #take(message: string): void {
    const fields = new Map(
      message.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const data = fields.get('data');
    if (data === undefined) {
      return;
    }
    if (fields.get('event') === 'gap') {
      this.gaps.push(data);
    } else {
      this.events.push(JSON.parse(data));
    }
    this.#last = Number(fields.get('id') ?? this.#last);
  }
}
