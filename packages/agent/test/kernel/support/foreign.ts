/** Foreign programs at hooks, attached in the same way as ours. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { machine } from 'node:os';
import { join } from 'node:path';
import {
  attachTcx,
  closeFd,
  detachLink,
  deviceName,
  loadObject,
  pin,
  programId,
} from '../../../src/datapath/kernel/libbpf.ts';
import { processFolder } from './folder.ts';
import { BY_CLSACT } from './hook.ts';
import { bpffsFolder, run } from './namespace.ts';

const SOURCE = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("tc") int end_chain(struct __sk_buff *skb) { return 0; /* TCX_PASS: nobody behind it runs */ }
SEC("tc") int go_on(struct __sk_buff *skb) { return -1; /* TCX_NEXT */ }
char LICENSE[] SEC("license") = "GPL";
`;

/** Compiles it. Returns the path of the object file. */
export function foreignObject(): string {
  const path = join(processFolder(), 'foreign.o');
  const flags = [
    '-O2',
    '-g',
    '-target',
    'bpf',
    `-I/usr/include/${machine()}-linux-gnu`,
    '-x',
    'c',
    '-',
    '-c',
    '-o',
    path,
  ];
  execFileSync('clang', flags, { input: SOURCE });
  return path;
}

/** A foreign program at the head of a hook. */
export interface Foreign {
  /** Kernel id of the program. */
  id: number;
  /** Takes it off and attaches it in front again. */
  goFirst(): void;
  close(): void;
}

type Side = 'ingress' | 'egress';
type Name = 'end_chain' | 'go_on';
/** Attaches a program. Returns a function that detaches it. */
type Attach = () => () => void;

function byTcx(fd: number, ifindex: number, side: Side): Attach {
  return () => {
    const link = attachTcx(fd, ifindex, side);
    return () => {
      detachLink(link);
      closeFd(link);
    };
  };
}

let filters = 0;

/** As a filter of the lowest preference. */
function byClsact(fd: number, ifindex: number, side: Side): Attach {
  const device = deviceName(ifindex);
  const which = ['pref', '1', 'handle', String(++filters), 'protocol', 'all', 'bpf'];
  const path = bpffsFolder();
  return () => {
    pin(fd, path);
    try {
      run('tc', 'filter', 'add', 'dev', device, side, ...which, 'direct-action', 'object-pinned', path);
    } finally {
      rmSync(path);
    }
    return () => void run('tc', 'filter', 'del', 'dev', device, side, ...which);
  };
}

/**
 * Attaches a program of `foreignObject` at the head of a hook.
 * @param clsact as a filter; there has to be a clsact then. Default: as ours hang in this run
 * @throws BpfError where the kernel refuses
 */
export function attachForeign(
  object: string,
  ifindex: number,
  side: Side,
  program: Name,
  clsact: boolean = BY_CLSACT,
): Foreign {
  const loaded = loadObject(object, {});
  const fd = loaded.program(program);
  const attach = (clsact ? byClsact : byTcx)(fd, ifindex, side);
  let detach: () => void;
  try {
    detach = attach();
  } catch (error) {
    loaded.close();
    throw error;
  }
  return {
    id: programId(fd),
    goFirst() {
      detach();
      detach = attach();
    },
    close() {
      detach();
      loaded.close();
    },
  };
}
