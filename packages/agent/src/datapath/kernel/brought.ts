/** Files that the data path needs and that are no TypeScript: where they are in the source tree, and in a package. */
import { join } from 'node:path';

/** Set in the bundle of a package, which has these files beside it. */
declare const PACKAGED: true | undefined;

const packaged = typeof PACKAGED !== 'undefined';

/** The BPF object: what `make build` makes of packages/bpf, or the one of the package. */
export const OBJECT_PATH = packaged
  ? join(import.meta.dirname, 'mirror.bpf.o')
  : join(import.meta.dirname, '../../../../bpf/dist/mirror.bpf.o');

/** libbpf: that of this host, or the one of the package. Not every host that runs packages has a libbpf of version 1. */
export const LIBBPF = packaged ? join(import.meta.dirname, 'libbpf.so.1') : 'libbpf.so.1';
