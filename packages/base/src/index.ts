/** Small general tools that all packages may use. They know nothing about mirroring. */
export { Closers } from './closers.ts';
export { Coalesced } from './coalesced.ts';
export { draftOf, replaceFile, replaceFileSync, syncFolder } from './durable-file.ts';
export { printable } from './printable.ts';
export { Serial } from './serial.ts';
export { filteredInSteps, mappedInSteps, sortedInSteps } from './sorted.ts';
export { atOnce, inTurns, inTurnsBeside, isAwaited, piecesInTurns } from './turns.ts';
export { atMost, until } from './wait.ts';
