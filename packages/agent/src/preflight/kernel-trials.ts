/**
 * Probes the kernel by loading small programs. This module must be loaded late, because it needs
 * libbpf.
 */
import { existsSync } from 'node:fs';
import {
  BpfError,
  closeFd,
  hasHelper,
  isCompiled,
  libbpfVersion,
  loadProgram,
  programsAt,
} from '../datapath/kernel/libbpf.ts';
import type { KernelFeature } from './kernel-features.ts';

/** struct bpf_insn: code, registers (the source in the upper half), offset, constant. */
function instruction(code: number, registers: number, offset: number, constant: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt8(code, 0);
  bytes.writeUInt8(registers, 1);
  bytes.writeInt16LE(offset, 2);
  bytes.writeInt32LE(constant, 4);
  return bytes;
}

const SMALLEST = Buffer.concat([
  instruction(0xb7, 0x00, 0, 0), // r0 = 0
  instruction(0x95, 0x00, 0, 0), // exit
]);
const ATOMIC_WITH_RESULT = Buffer.concat([
  instruction(0x7a, 0x0a, -8, 0), // *(u64 *)(r10 - 8) = 0
  instruction(0xb7, 0x01, 0, 1), // r1 = 1
  instruction(0xdb, 0x1a, -8, 0x01), // r1 = atomic_fetch_add(r10 - 8, r1)
  SMALLEST,
]);

/** enum bpf_func_id, include/uapi/linux/bpf.h. */
const HELPER = { spinLock: 93, redirectNeighbour: 152, coarseTime: 160, checkMtu: 163 } as const;
/** ifindex of lo in every network namespace. */
const LOOPBACK = 1;

export { libbpfVersion };

/** The smallest possible program, which the caller must close, or the errno of its refusal. */
export function loadSmallest(): { program: number; compiled: boolean } | { refused: string } {
  try {
    const program = loadProgram(SMALLEST);
    return { program, compiled: isCompiled(program) };
  } catch (error) {
    if (error instanceof BpfError) {
      return { refused: error.code };
    }
    throw error;
  }
}

export { closeFd };

export interface KernelFacts {
  /** Features that the kernel lacks. */
  missing: KernelFeature[];
  tcx: boolean;
  /** The kernel has BTF. */
  btf: boolean;
  /**
   * BPF memory counts against the control group. As in libbpf, the sign is a helper that was
   * introduced together with this in 5.11.
   */
  memoryByGroup: boolean;
}

export function tryKernel(): KernelFacts {
  const has: Record<KernelFeature, boolean> = {
    spinLocks: hasHelper(HELPER.spinLock),
    redirectNeighbour: hasHelper(HELPER.redirectNeighbour),
    checkMtu: hasHelper(HELPER.checkMtu),
    atomics: succeeds(() => closeFd(loadProgram(ATOMIC_WITH_RESULT))),
  };
  return {
    missing: (Object.keys(has) as KernelFeature[]).filter((feature) => !has[feature]),
    tcx: succeeds(() => programsAt(LOOPBACK, 'ingress')),
    btf: existsSync('/sys/kernel/btf/vmlinux'),
    memoryByGroup: hasHelper(HELPER.coarseTime),
  };
}

function succeeds(trial: () => unknown): boolean {
  try {
    trial();
    return true;
  } catch (error) {
    if (error instanceof BpfError) {
      return false;
    }
    throw error;
  }
}
