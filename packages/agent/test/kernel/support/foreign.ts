/** A tcx program that is not ours. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { machine, tmpdir } from 'node:os';
import { join } from 'node:path';

const SOURCE = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("tc") int end_chain(struct __sk_buff *skb) { return 0; /* TCX_PASS: nobody behind it runs */ }
char LICENSE[] SEC("license") = "GPL";
`;

/** Compiles it. Returns the path of the object file. */
export function foreignObject(): string {
  const path = join(mkdtempSync(join(tmpdir(), 'mirrorplane-test-')), 'foreign.o');
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
