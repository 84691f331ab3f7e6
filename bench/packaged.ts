/**
 * Daemons as a package has them: one bundle each, with the flags of its starter, in a folder that
 * needs no installation.
 */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '@mirrorplane/lab/testing';
import { bundle, type Program } from '../packaging/bundle.ts';
import { ROOT } from '../packaging/paths.ts';

/** npm's name of this machine's architecture, as in the names of native modules. */
const NATIVE = `linux_${process.arch}`;
const STARTERS = join(ROOT, 'packaging/files/bin');

/**
 * Makes the command `mirrorplane` with the parts agent and controller in a folder.
 * @param folder an empty folder
 * @returns the path of the command
 */
export async function packagedCommand(folder: string): Promise<string> {
  for (const program of ['agent', 'controller'] as const) {
    await bundle(program, join(folder, program), 'bench');
    const koffi = `node_modules/@koromix/koffi-linux-${process.arch}/${NATIVE}/koffi.node`;
    copyFileSync(join(ROOT, koffi), join(folder, program, 'koffi.node'));
  }
  const netlink = `node_modules/netlink/prebuilds/linux-${process.arch}/node.napi.node`;
  copyFileSync(join(ROOT, netlink), join(folder, 'agent/netlink.node'));
  copyFileSync(await libbpf(), join(folder, 'agent/libbpf.so.1'));
  for (const object of ['mirror.bpf.o', 'hear.bpf.o']) {
    copyFileSync(join(ROOT, 'packages/bpf/dist', object), join(folder, 'agent', object));
  }
  // The lab's daemons have users of their own.
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'bin'));
  const command = join(folder, 'bin/mirrorplane');
  const cases = (['agent', 'controller'] as const).map((program) => {
    const main = `exec ${process.execPath} ${flagsOf(program)} ${join(folder, program, 'main.mjs')} "$@"`;
    return `${program}) ${exportsOf(program)}; ${main} ;;`;
  });
  const text = ['#!/bin/sh', 'part=$1; shift', 'case "$part" in', ...cases, '*) exit 2 ;;', 'esac', ''];
  writeFileSync(command, text.join('\n'), { mode: 0o755 });
  return command;
}

/** The flags of Node.js in the starter of a package. */
function flagsOf(program: Program): string {
  const starter = readFileSync(join(STARTERS, `mirrorplane-${program}`), 'utf8');
  const flags = /(?<= )--(?:expose-gc|(?:disable-warning|max-semi-space-size|v8-pool-size)=\S+)/g;
  return [...starter.matchAll(flags)].join(' ');
}

/** What the starter sets for the C library. */
function exportsOf(program: Program): string {
  const starter = readFileSync(join(STARTERS, `mirrorplane-${program}`), 'utf8');
  return /^export MALLOC_\S+$/m.exec(starter)?.[0] ?? ':';
}

async function libbpf(): Promise<string> {
  const { stdout } = await run(['ldconfig', '-p']);
  const path = /libbpf\.so\.1 .*=> (\S+)/.exec(stdout)?.[1];
  if (path === undefined) {
    throw new Error('there is no libbpf.so.1 on this machine');
  }
  return realpathSync(path);
}
