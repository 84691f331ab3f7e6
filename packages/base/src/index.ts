/** The ground that all packages may stand on: small machinery without a word of mirroring in it. */
export { Closers } from './closers.ts';
export { Coalesced } from './coalesced.ts';
export { draftOf, replaceFile, replaceFileSync, syncFolder } from './durable-file.ts';
export { Serial } from './serial.ts';
export { atMost, until } from './wait.ts';
