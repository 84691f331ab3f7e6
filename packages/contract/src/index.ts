/** Every resource and message of Mirrorplane, declared once. */
export * from './bounds.ts';
export * from './counters.ts';
export * from './errors.ts';
export * from './events.ts';
export * from './history.ts';
export * from './ids.ts';
export * from './inventory.ts';
export * from './looks.ts';
export * from './mirrorable.ts';
export * from './names.ts';
export * from './paths.ts';
export * from './policy.ts';
export * from './program.ts';
export * from './status.ts';
export * from './summaries.ts';
export * from './sync.ts';
export * from './words.ts';
