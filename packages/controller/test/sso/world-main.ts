/**
 * A controller and a provider as a process of its own, for tests that run in a browser: it says
 * where they are in one line of JSON, and ends with its standard input.
 */
import type { TestContext } from 'node:test';
import { startWorld } from './world.ts';

const closers: (() => unknown)[] = [];
const { address, provider } = await startWorld({
  after: (close: () => unknown) => closers.push(close),
} as unknown as TestContext);
const end = async () => {
  for (const close of closers.toReversed()) {
    await close();
  }
  process.exit(0);
};
process.on('SIGTERM', end).on('SIGINT', end);
process.stdin.on('end', end).resume();
process.stdout.write(`${JSON.stringify({ address, issuer: provider.issuer })}\n`);
