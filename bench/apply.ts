/**
 * The data plane of one node, for the bench. It runs in the node's network namespace and opens the
 * real data path. Requests are JSON lines on standard input, answers are JSON lines on standard
 * output. When the input ends, it removes the data path and exits. So a killed bench leaves no
 * programs behind.
 * usage: nsenter --net=NAMESPACE -- node bench/apply.ts BPFFS_FOLDER
 */
import { createInterface } from 'node:readline';
import type { ApplyResult, DatapathState, Link } from '@mirrorplane/agent/testing';
import { createKernelDatapath, type ProgramName, RtClient, Throttle } from '@mirrorplane/agent/testing';
import type { CounterReport } from '@mirrorplane/contract';
import { createLog } from '@mirrorplane/daemon';
import { Program } from '../packages/bpf/test/support/prog-run.ts';
import { attachPrograms, type ProgramAt } from './attached.ts';
import { lowMean } from './statistics.ts';

/** Requests of the bench. */
export type Request =
  | { op: 'apply'; state: DatapathState }
  | { op: 'counters' }
  /**
   * Adjusts the budget of a device to its headroom, as an agent does. `rate`: speed in Mbit/s, if
   * known.
   */
  | { op: 'protect'; device: string; ifindex: number; rate?: number }
  | { op: 'unprotect' }
  /** Attaches programs of an object file beside ours, until `detach`. */
  | { op: 'attach'; object: string; programs: readonly ProgramAt[] }
  | { op: 'detach' }
  /** Runs a program on a packet of a device, so many times. `packet`: hex. */
  | { op: 'run'; program: ProgramName; ifindex: number; packet: string; times: number };
/** Nanoseconds of a run, see `lowMean`. */
export interface Ran {
  nanoseconds: number;
}
/** Answers. `milliseconds` is the time of `apply`, without the transfer through the pipe. */
export interface Applied {
  result: ApplyResult;
  milliseconds: number;
}
export type Reply = { ok: Applied | CounterReport | Ran | { ready: true } } | { error: string };

const bpffs = process.argv[2];
if (bpffs === undefined) {
  throw new Error('usage: apply.ts BPFFS_FOLDER');
}
// Ctrl-C reaches the whole process group, but the bench ends this process itself.
process.on('SIGINT', () => undefined);

const datapath = createKernelDatapath({ bpffs });
const say = (reply: Reply) => process.stdout.write(`${JSON.stringify(reply)}\n`);

let client: RtClient | undefined;
let throttle: Throttle | undefined;

let detach: (() => void) | undefined;

async function unprotect(): Promise<void> {
  await throttle?.close();
  client?.close();
  throttle = undefined;
}

function veth(name: string, ifindex: number): Link {
  const plain = { mac: '', permanentMac: '', mtu: 1500, up: true, alias: '', master: 0, forwarding: true };
  return { ...plain, name, ifindex, linkType: 'veth', ethernet: true };
}

async function protect(device: string, ifindex: number, rate: number | undefined): Promise<void> {
  client = new RtClient();
  throttle = new Throttle({
    datapath,
    client,
    links: () => [veth(device, ifindex)],
    ...(rate !== undefined && { rates: { [device]: rate } }),
    log: createLog('agent', 'warn'),
  });
  throttle.start();
}

function runTimes({ program, ifindex, packet, times }: Extract<Request, { op: 'run' }>): Ran {
  const opened = new Program(bpffs!, program);
  try {
    const bytes = Buffer.from(packet, 'hex');
    return { nanoseconds: lowMean(Array.from({ length: times }, () => opened.run(bytes, { ifindex }).duration)) };
  } finally {
    opened.close();
  }
}

async function obey(request: Request): Promise<Applied | CounterReport | Ran | { ready: true }> {
  switch (request.op) {
    case 'apply': {
      const start = performance.now();
      const result = await datapath.apply(request.state);
      return { result, milliseconds: performance.now() - start };
    }
    case 'counters':
      return datapath.counters();
    case 'run':
      return runTimes(request);
    case 'protect':
      await protect(request.device, request.ifindex, request.rate);
      break;
    case 'unprotect':
      await unprotect();
      break;
    case 'attach':
      detach = attachPrograms(request.object, request.programs);
      break;
    case 'detach':
      detach?.();
      detach = undefined;
      break;
  }
  return { ready: true };
}

try {
  await datapath.open();
  say({ ok: { ready: true } });
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      say({ ok: await obey(JSON.parse(line) as Request) });
    } catch (error) {
      say({ error: (error as Error).message });
    }
  }
} catch (error) {
  say({ error: (error as Error).message });
  process.exitCode = 1;
} finally {
  await unprotect();
  await datapath.uninstall();
}
