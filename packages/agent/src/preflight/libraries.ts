/** Checks Node.js and libbpf. */
import { type Check, failed, ok } from './check.ts';

const LEAST_NODE = 24;

/** @param version as `process.versions.node` */
export function judgeRuntime(version: string): Check {
  if (Number.parseInt(version, 10) >= LEAST_NODE) {
    return ok('runtime', `Node.js ${version}`);
  }
  const remedy = `run the agent with Node.js ${LEAST_NODE} or newer, as the command mirrorplane does`;
  return failed('runtime', `Node.js ${version}`, remedy);
}

/** The version of libbpf, or the error of its loader. */
export type LibbpfFacts = { version: string } | { error: string };

export function judgeLibbpf(facts: LibbpfFacts): Check {
  if ('version' in facts) {
    return ok('libbpf', `libbpf ${facts.version}`);
  }
  const remedy = 'install libbpf 1.0 or newer: the package is libbpf1 on Debian and Ubuntu, libbpf on other systems';
  return failed('libbpf', `libbpf.so.1 cannot be used: ${facts.error}`, remedy);
}
