/** Run time of BPF programs, as the kernel measures it. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '@mirrorplane/lab/testing';
import koffi from 'koffi';

const BPF_STATS_RUN_TIME = 0; // enum bpf_stats_type, include/uapi/linux/bpf.h

/**
 * Switches the statistics on, and returns the function that switches them off. Unlike `sysctl
 * kernel.bpf_stats_enabled=1`, this is bound to a file descriptor. So the kernel switches them off
 * if this process is killed, and parallel measurements do not switch them off for each other.
 */
export function enableStats(): () => void {
  const enable = koffi.load('libbpf.so.1').func('int bpf_enable_stats(int type)');
  const close = koffi.load('libc.so.6').func('int close(int fd)');
  const fd: number = enable(BPF_STATS_RUN_TIME);
  if (fd < 0) {
    throw new Error(`the kernel refuses BPF statistics: errno ${-fd}`);
  }
  return () => close(fd);
}

/** Since the program was loaded, while statistics were on. */
export interface RunTime {
  nanoseconds: number;
  runs: number;
}

/** By name of the program, for those pinned under a data plane's bpffs folder. */
export async function runTimes(bpffs: string): Promise<Map<string, RunTime>> {
  const folder = readdirSync(bpffs).find((name) => /^programs-[0-9a-f]+$/.test(name));
  if (folder === undefined) {
    throw new Error(`no programs are pinned in ${bpffs}`);
  }
  const times = new Map<string, RunTime>();
  for (const name of readdirSync(join(bpffs, folder))) {
    const { stdout } = await run(['bpftool', '--json', 'prog', 'show', 'pinned', join(bpffs, folder, name)]);
    // bpftool leaves out values of 0.
    const shown = JSON.parse(stdout) as { run_time_ns?: number; run_cnt?: number };
    times.set(name, { nanoseconds: shown.run_time_ns ?? 0, runs: shown.run_cnt ?? 0 });
  }
  return times;
}
