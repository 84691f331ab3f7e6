/**
 * Places of the files that the data path needs and that are not TypeScript, in the source tree and
 * in a package.
 */
import { join } from 'node:path';

/** Set in the bundle of a package, which has these files beside it. */
declare const PACKAGED: true | undefined;

const packaged = typeof PACKAGED !== 'undefined';

/** The BPF object: the result of `make build` in packages/bpf, or the one of the package. */
export const OBJECT_PATH = packaged
  ? join(import.meta.dirname, 'mirror.bpf.o')
  : join(import.meta.dirname, '../../../../bpf/dist/mirror.bpf.o');

/** libbpf: that of the host, or the one of the package. Not every host has libbpf version 1. */
export const LIBBPF = packaged ? join(import.meta.dirname, 'libbpf.so.1') : 'libbpf.so.1';
