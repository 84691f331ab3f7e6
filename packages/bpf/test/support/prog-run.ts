/**
 * BPF_PROG_RUN: a program of the pinned data plane on one packet, in the kernel, without a device.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ProgramName } from '@mirrorplane/agent/testing';
import { closeFd, getPinned } from '@mirrorplane/agent/testing';
import koffi from 'koffi';

const library = koffi.load('libbpf.so.1');
koffi.struct('bpf_test_run_opts', {
  sz: 'size_t',
  data_in: 'void *',
  data_out: 'void *',
  data_size_in: 'uint32_t',
  data_size_out: 'uint32_t',
  ctx_in: 'void *',
  ctx_out: 'void *',
  ctx_size_in: 'uint32_t',
  ctx_size_out: 'uint32_t',
  retval: 'uint32_t',
  repeat: 'int',
  duration: 'uint32_t',
  flags: 'uint32_t',
  cpu: 'uint32_t',
  batch_size: 'uint32_t',
});
const testRun = library.func('int bpf_prog_test_run_opts(int program, _Inout_ bpf_test_run_opts *options)');

/** Verdicts of linux/pkt_cls.h and linux/bpf.h. */
export const VERDICT = { next: -1, shot: 2, redirect: 7 } as const;

/** Offsets in struct __sk_buff of what a test may set; its size. */
const CONTEXT = { mark: 8, ifindex: 40 } as const;
const CONTEXT_SIZE = 192;
/** A packet may grow by the headers of ERSPAN and a tag. */
const GROWTH = 256;

export interface RunOptions {
  /** Device of the packet. Its MAC decides whether the packet is for this host. */
  ifindex?: number;
  mark?: number;
}

export interface RunResult {
  verdict: number;
  packet: Buffer;
  mark: number;
  /** Duration of the run in nanoseconds, by the kernel's clock, which has steps of about 10. */
  duration: number;
}

/** A pinned program. */
export class Program {
  readonly #fd: number;
  readonly #name: string;

  constructor(bpffs: string, name: ProgramName) {
    const folder = readdirSync(bpffs).find((entry) => entry.startsWith('programs-'))!;
    this.#name = name;
    this.#fd = getPinned(join(bpffs, folder, name))!;
  }

  /** @throws Error where the kernel does not take the packet. */
  run(packet: Buffer, options: RunOptions = {}): RunResult {
    const result = this.try(packet, options);
    if (typeof result === 'number') {
      throw new Error(`${this.#name} was not run: errno ${result}`);
    }
    return result;
  }

  /**
   * Like run(), but returns the errno if the kernel refuses the packet. The kernel needs complete
   * Ethernet and IP headers.
   */
  try(packet: Buffer, options: RunOptions = {}): RunResult | number {
    const context = Buffer.alloc(CONTEXT_SIZE);
    context.writeUInt32LE(options.mark ?? 0, CONTEXT.mark);
    context.writeUInt32LE(options.ifindex ?? 0, CONTEXT.ifindex);
    const packetOut = Buffer.alloc(packet.length + GROWTH);
    const contextOut = Buffer.alloc(CONTEXT_SIZE);
    const run = {
      sz: koffi.sizeof('bpf_test_run_opts'),
      data_in: packet,
      data_out: packetOut,
      data_size_in: packet.length,
      data_size_out: packetOut.length,
      ctx_in: context,
      ctx_out: contextOut,
      ctx_size_in: CONTEXT_SIZE,
      ctx_size_out: CONTEXT_SIZE,
      retval: 0,
      repeat: 1,
      duration: 0,
      flags: 0,
      cpu: 0,
      batch_size: 0,
    };
    const error: number = testRun(this.#fd, run);
    if (error < 0) {
      return -error;
    }
    return {
      verdict: run.retval | 0,
      packet: packetOut.subarray(0, run.data_size_out),
      mark: contextOut.readUInt32LE(CONTEXT.mark),
      duration: run.duration,
    };
  }

  close(): void {
    closeFd(this.#fd);
  }
}
