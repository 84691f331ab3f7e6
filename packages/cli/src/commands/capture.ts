/** `mirrorplane capture`: packets of interfaces, as lines or as a pcapng file. */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import type { Look } from '@mirrorplane/contract';
import { LOOK_LIMITS } from '@mirrorplane/contract/look-limits';
import { type Command, InvalidArgumentError } from 'commander';
import { type Context, contextOf } from '../context.ts';
import { CliError } from '../exit.ts';
import { integerUpTo, positiveInteger } from '../options.ts';
import { accountText, packetLine } from '../output/looks.ts';
import { render } from '../output/render.ts';
import { PcapngReader, type StreamedBlock } from '../pcapng-reader.ts';
import { lookPath } from './look.ts';

interface CaptureOptions {
  policy?: string;
  filter?: string;
  for?: number;
  count?: number;
  payload?: boolean;
  rate?: number;
  comment?: string;
  write?: string;
}

/** Milliseconds that the controller may take to end the stream of a look that has ended. */
const LAST_WORDS_MS = 10_000;
const MAX_SECONDS = LOOK_LIMITS.ageMs / 1000;

function seconds(text: string): number {
  const [, number, unit] = /^(\d{1,4})(s|m)?$/.exec(text) ?? [];
  const read = Number(number) * (unit === 'm' ? 60 : 1);
  if (!(read >= 1 && read <= MAX_SECONDS)) {
    throw new InvalidArgumentError(`use a time from 1s to ${MAX_SECONDS / 60}m.`);
  }
  return read;
}

/** Adds `capture`. */
export function addCaptureCommand(program: Command): void {
  program
    .command('capture')
    .description('show packets of interfaces on their way, and what became of them and of their copies, until Ctrl-C')
    .argument('[interfaces...]', `1 to ${LOOK_LIMITS.interfaces} interfaces`)
    .option('--policy <name>', 'the sources of a policy, instead of interfaces')
    .option('--filter <words>', 'capture words, for example "tcp port 5432 and host 10.0.0.7"')
    .option('--for <time>', 'stop after this time, for example 30s or 2m', seconds)
    .option('--count <number>', 'stop after this number of packets', positiveInteger)
    .option('--payload', `up to ${LOOK_LIMITS.payloadBytes} bytes of a packet, not ${LOOK_LIMITS.headerBytes}`)
    .option(
      '--rate <number>',
      `packets a second on a node, at most (default: ${LOOK_LIMITS.packetRate})`,
      integerUpTo(LOOK_LIMITS.packetRate),
    )
    .option('--comment <text>', 'why you look; the audit log has it')
    .option('-w, --write <file>', 'write pcapng to a file, or to standard output ("-") for Wireshark')
    .action(async (interfaces: string[], options: CaptureOptions, command: Command) => {
      if (options.write === '-' && process.stdout.isTTY) {
        throw new CliError('usage', 'a terminal cannot show pcapng: redirect the output, or name a file');
      }
      await capture(contextOf(command), interfaces, options);
    });
}

async function capture(context: Context, interfaces: string[], options: CaptureOptions): Promise<void> {
  const body = {
    ...(interfaces.length > 0 && { interfaces }),
    policy: options.policy,
    words: options.filter,
    payload: options.payload,
    packetRate: options.rate,
    comment: options.comment,
  };
  const { id } = (await context.client.request<Look>('POST', '/looks', { body })).body;
  const ending = new Ending(context, id, options.for);
  try {
    const sink = sinkOf(context, options);
    const written = await follow(context, id, sink, ending, options.count);
    await sink.close();
    const { body: look } = await context.client.request<Look>('GET', lookPath(id));
    context.note(accountText(look, written));
  } finally {
    ending.close();
  }
}

/** Reads packets until the look has ended. @returns how many were written */
async function follow(
  context: Context,
  id: string,
  sink: Sink,
  ending: Ending,
  most = Number.POSITIVE_INFINITY,
): Promise<number> {
  const reader = new PcapngReader();
  let written = 0;
  const query = { follow: 'true' };
  await context.client.download(`${lookPath(id)}/packets.pcapng`, { query, signal: ending.signal }, async (piece) => {
    for (const block of reader.add(piece)) {
      if (block.packet === undefined || written < most) {
        await sink.write(block);
        written += block.packet === undefined ? 0 : 1;
      }
    }
    if (written >= most) {
      ending.end();
    }
  });
  return written;
}

/** Ends a look once: by Ctrl-C, after a time, or when there are enough packets. */
class Ending {
  readonly #context: Context;
  readonly #id: string;
  readonly #patience = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  #ended = false;
  readonly #interrupted = () => {
    if (this.#ended) {
      process.exit(130);
    }
    this.end();
  };

  constructor(context: Context, id: string, lasts: number | undefined) {
    this.#context = context;
    this.#id = id;
    process.on('SIGINT', this.#interrupted);
    process.on('SIGTERM', this.#interrupted);
    if (lasts !== undefined) {
      this.#timers.push(setTimeout(() => this.end(), lasts * 1000));
    }
  }

  /** Aborted when the stream does not end though the look has ended. */
  get signal(): AbortSignal {
    return this.#patience.signal;
  }

  end(): void {
    if (this.#ended) {
      return;
    }
    this.#ended = true;
    this.#timers.push(setTimeout(() => this.#patience.abort(), LAST_WORDS_MS));
    this.#context.client.request('DELETE', lookPath(this.#id)).catch(() => this.#patience.abort());
  }

  close(): void {
    process.off('SIGINT', this.#interrupted);
    process.off('SIGTERM', this.#interrupted);
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    // A failure leaves no look behind.
    if (!this.#ended) {
      this.#ended = true;
      this.#context.client.request('DELETE', lookPath(this.#id)).catch(() => {});
    }
  }
}

interface Sink {
  write(block: StreamedBlock): Promise<void> | void;
  close(): Promise<void>;
}

function sinkOf(context: Context, { write }: CaptureOptions): Sink {
  if (write === undefined) {
    const print = ({ packet }: StreamedBlock) => {
      if (packet !== undefined) {
        context.print(render(context.format, packet, () => packetLine(packet), true));
      }
    };
    return { write: print, close: async () => {} };
  }
  return write === '-'
    ? streamSink(process.stdout, false)
    : streamSink(createWriteStream(write, { mode: 0o600 }), true);
}

function streamSink(stream: Writable, ownsStream: boolean): Sink {
  let failed: Error | undefined;
  if (ownsStream) {
    stream.on('error', (error) => {
      failed = error;
    });
  }
  const check = () => {
    if (failed !== undefined) {
      throw new CliError('usage', `the file cannot be written: ${failed.message}`);
    }
  };
  return {
    write: async ({ bytes }) => {
      check();
      if (!stream.write(bytes)) {
        await Promise.race([once(stream, 'drain'), once(stream, 'close')]).catch(() => {});
        check();
      }
    },
    close: async () => {
      if (ownsStream && failed === undefined) {
        stream.end();
        await once(stream, 'close').catch(() => {});
      }
      check();
    },
  };
}
