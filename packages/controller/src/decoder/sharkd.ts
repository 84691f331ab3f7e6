/** Asks sharkd: the fields of one packet, and whether a display filter is one. */
import type { PacketTreeNode } from '@mirrorplane/contract';
import * as z from 'zod';
import type { KeptPacket } from '../looks/kept-packet.ts';
import { PcapngWriter } from '../looks/pcapng.ts';
import { shownText } from './columns.ts';
import { DecoderEnded } from './decoder-errors.ts';
import { DecoderProcess } from './decoder-process.ts';
import { packetTree } from './packet-tree.ts';
import type { Sandbox } from './sandbox.ts';

/** Milliseconds that an answer may take. `decode.sh` bounds the seconds of CPU. */
const LIMIT_MS = 20_000;
/** Lines of sharkd that are no answer, before it is ended. */
const MAX_STRAY_LINES = 100;

/** The requests that are made. sharkd has others, which read files; nobody else's words get there. */
type Request =
  | { method: 'load'; params: { file: '/tmp/packets.pcapng' } }
  | { method: 'frame'; params: { frame: number; proto: true } }
  | { method: 'check'; params: { filter: string } };

const Answer = z.looseObject({
  id: z.number(),
  result: z.unknown().optional(),
  error: z.looseObject({ message: z.string() }).optional(),
});

/**
 * The fields of the last of these packets. Those before it are of the same place, so that what is
 * said of a connection is true.
 * @throws DecoderAbsent, DecoderEnded
 */
export async function fieldsOf(sandbox: Sandbox, packets: readonly KeptPacket[]): Promise<PacketTreeNode[]> {
  const writer = new PcapngWriter();
  const file = Buffer.concat([writer.start(''), ...packets.map((packet) => writer.packet(packet))]);
  const job = Buffer.concat([Buffer.from(`packet ${file.length}\n`), file]);
  return withSharkd(sandbox, job, async (ask) => {
    await ask({ method: 'load', params: { file: '/tmp/packets.pcapng' } });
    const { result } = await ask({ method: 'frame', params: { frame: packets.length, proto: true } });
    const numberOf = (frame: number) => packets[frame - 1]?.number;
    return packetTree(result, { numberOf, captured: packets.at(-1)!.bytes.length });
  });
}

/**
 * Why a display filter is none. Undefined: it is one.
 * @throws DecoderAbsent, DecoderEnded
 */
export function filterProblem(sandbox: Sandbox, filter: string): Promise<string | undefined> {
  return withSharkd(sandbox, 'filter\n', async (ask) => {
    const { error } = await ask({ method: 'check', params: { filter } });
    return error && shownText(error.message.replace('Filter invalid - ', ''));
  });
}

type Ask = (request: Request) => Promise<z.infer<typeof Answer>>;

async function withSharkd<T>(sandbox: Sandbox, job: string | Uint8Array, work: (ask: Ask) => Promise<T>): Promise<T> {
  const decoder = await DecoderProcess.start(sandbox, job, LIMIT_MS);
  let id = 0;
  try {
    return await work((request) => {
      decoder.write(`${JSON.stringify({ jsonrpc: '2.0', id: ++id, ...request })}\n`);
      return answerTo(id, decoder);
    });
  } catch (error) {
    throw error instanceof z.ZodError ? new DecoderEnded('the decoder answers what nobody can read') : error;
  } finally {
    decoder.close();
  }
}

async function answerTo(id: number, decoder: DecoderProcess): Promise<z.infer<typeof Answer>> {
  for (let strays = 0; strays < MAX_STRAY_LINES; strays++) {
    const answer = Answer.safeParse(jsonOf(await decoder.line(LIMIT_MS)));
    if (answer.data?.id === id) {
      return answer.data;
    }
  }
  throw new DecoderEnded('the decoder says what nobody asked for');
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
