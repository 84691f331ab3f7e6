/** Parts of the command that other programs of Mirrorplane use: its client of the API. */
export * from './client.ts';
export * from './exit.ts';
