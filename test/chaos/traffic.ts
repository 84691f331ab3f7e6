/** The numbered frames that all flows send while everything changes around them. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Lab } from '@mirrorplane/lab';
import { PYTHON } from '../support/traffic.ts';
import { FLOWS, SENDERS } from './flows.ts';

const SENDER = join(import.meta.dirname, 'sender.py');

interface Sender {
  child: ChildProcess;
  lines: AsyncIterator<string>;
  reader: Interface;
}

/** Senders on every host that has a flow. */
export class Traffic {
  readonly #senders: Sender[];

  private constructor(senders: Sender[]) {
    this.#senders = senders;
  }

  /** Starts the senders, at rest. `run` is a number that tells these frames from all others. */
  static start(lab: Lab, run: number): Traffic {
    const senders = SENDERS.map((host) => {
      const flows = FLOWS.filter(({ from }) => from === host).map(({ id, kind, from, to }) => ({
        ...{ id, kind, fromMac: lab.mac(from), toMac: lab.mac(to), fromAddress: lab.address(from) },
      }));
      const argv = [PYTHON, SENDER, String(run), JSON.stringify(flows)];
      const child = lab.spawn(host, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
      const reader = createInterface({ input: child.stdout! });
      return { child, reader, lines: reader[Symbol.asyncIterator]() };
    });
    return new Traffic(senders);
  }

  /** Sends so many frames a second on each flow. Returns how many frames of each flow were tried until now. */
  go(rate: number): Promise<Map<number, number>> {
    return this.#tell(`go ${rate}`);
  }

  /** Stops sending. Returns how many frames of each flow were tried. */
  pause(): Promise<Map<number, number>> {
    return this.#tell('pause');
  }

  async #tell(command: string): Promise<Map<number, number>> {
    const tried = new Map<number, number>();
    await Promise.all(
      this.#senders.map(async ({ child, lines }) => {
        child.stdin!.write(`${command}\n`);
        const { value, done } = await lines.next();
        if (done) throw new Error('a sender has ended');
        for (const [flow, count] of Object.entries(JSON.parse(value) as Record<string, number>)) {
          tried.set(Number(flow), count);
        }
      }),
    );
    return tried;
  }

  /** Ends the senders. */
  async stop(): Promise<void> {
    await Promise.all(
      this.#senders.map(async ({ child, reader }) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, 'exit');
        child.stdin!.end();
        await ended;
        reader.close();
      }),
    );
  }
}
