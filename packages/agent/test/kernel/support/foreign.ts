/** tcx programs that are not ours. */
import { execFileSync } from 'node:child_process';
import { machine } from 'node:os';
import { join } from 'node:path';
import { attachTcx, closeFd, detachLink, loadObject, programId } from '../../../src/datapath/kernel/libbpf.ts';
import { processFolder } from './folder.ts';

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

/** A program of somebody else at the head of a hook. */
export interface Foreign {
  /** Kernel id of the program. */
  id: number;
  /** Takes it off and attaches it in front again. */
  goFirst(): void;
  close(): void;
}

/** Attaches a program of `foreignObject` at the head of a hook. @throws BpfError where the kernel refuses. */
export function attachForeign(
  object: string,
  ifindex: number,
  hook: 'ingress' | 'egress',
  program: 'end_chain' | 'go_on',
): Foreign {
  const loaded = loadObject(object, {});
  const fd = loaded.program(program);
  let link = 0;
  const detach = () => {
    detachLink(link);
    closeFd(link);
  };
  try {
    link = attachTcx(fd, ifindex, hook);
  } catch (error) {
    loaded.close();
    throw error;
  }
  return {
    id: programId(fd),
    goFirst() {
      detach();
      link = attachTcx(fd, ifindex, hook);
    },
    close() {
      detach();
      loaded.close();
    },
  };
}
