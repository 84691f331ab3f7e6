/**
 * Places of the files that the data path needs and that are not TypeScript, in the source tree and
 * in a package.
 */
import { join } from 'node:path';

/** Set in the bundle of a package, which has these files beside it. */
declare const PACKAGED: true | undefined;

const packaged = typeof PACKAGED !== 'undefined';

/** BPF objects: results of `make build` in packages/bpf, or those of the package. */
const OBJECTS = packaged ? import.meta.dirname : join(import.meta.dirname, '../../../../bpf/dist');

/** The data plane. */
export const OBJECT_PATH = join(OBJECTS, 'mirror.bpf.o');

/** What hears drops. */
export const HEAR_OBJECT_PATH = join(OBJECTS, 'hear.bpf.o');

/** libbpf: that of the host, or the one of the package. Not every host has libbpf version 1. */
export const LIBBPF = packaged ? join(import.meta.dirname, 'libbpf.so.1') : 'libbpf.so.1';
