/** The numbered frames that all flows send while everything changes around them. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '@mirrorplane/lab';
import { PYTHON } from '../support/traffic.ts';
import { type Flow, SENDERS, STEADY } from './flows.ts';

const SENDER = join(import.meta.dirname, 'sender.py');
/** Frames a second of `sendSome`, and for how many milliseconds. */
const SOME_RATE = 40;
const SOME_MS = 200;

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

  /** Starts the senders, without traffic. `run` is a number that distinguishes these frames. */
  static start(lab: Lab, run: number): Traffic {
    const senders = SENDERS.map((host) => {
      return startSender(
        lab,
        run,
        host,
        STEADY.filter(({ from }) => from === host),
      );
    });
    return new Traffic(senders);
  }

  /**
   * Sends so many frames a second on each flow. Returns how many frames of each flow were tried
   * until now.
   */
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
      this.#senders.map(async (sender) => {
        const value = await tell(sender, command);
        for (const [flow, count] of Object.entries(JSON.parse(value) as Record<string, number>)) {
          tried.set(Number(flow), count);
        }
      }),
    );
    return tried;
  }

  /** Ends the senders. */
  async stop(): Promise<void> {
    await Promise.all(this.#senders.map(stopSender));
  }
}

/** Sends some frames of one flow, from number `first` on. `run` as for `Traffic.start`. */
export async function sendSome(lab: Lab, run: number, flow: Flow, first: number): Promise<void> {
  const sender = startSender(lab, run, flow.from, [flow], first);
  try {
    await tell(sender, `go ${SOME_RATE}`);
    await sleep(SOME_MS);
    await tell(sender, 'pause');
  } finally {
    await stopSender(sender);
  }
}

function startSender(lab: Lab, run: number, host: string, flows: readonly Flow[], first = 0): Sender {
  const told = flows.map(({ id, kind, from, as = from, to }) => ({
    ...{ id, kind, first, fromMac: lab.mac(as), toMac: lab.mac(to), fromAddress: lab.address(as) },
  }));
  const argv = [PYTHON, SENDER, String(run), JSON.stringify(told)];
  const child = lab.spawn(host, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
  const reader = createInterface({ input: child.stdout! });
  return { child, reader, lines: reader[Symbol.asyncIterator]() };
}

async function tell({ child, lines }: Sender, command: string): Promise<string> {
  child.stdin!.write(`${command}\n`);
  const { value, done } = await lines.next();
  if (done) {
    throw new Error('a sender has ended');
  }
  return value;
}

async function stopSender({ child, reader }: Sender): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return;
  }
  const ended = once(child, 'exit');
  child.stdin!.end();
  await ended;
  reader.close();
}
