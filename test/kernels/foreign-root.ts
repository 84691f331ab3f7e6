/**
 * A root for a guest of the other architecture: its C library, busybox for a shell, Node.js and what koffi needs, out of the
 * packages that a host of that architecture would install; and the loader as one bundle.
 */
import { copyFileSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { native } from '../../packaging/bundle.ts';
import { fetchAll } from '../../packaging/fetch.ts';
import { ROOT } from '../../packaging/paths.ts';
import { type Architecture, extracted, withNeeds } from './apt.ts';

/** libbpf and Node.js need these; busybox is for everything else. */
const PACKAGES = ['libbpf1', 'libstdc++6', 'busybox-static'];
/** What the first program of the guest calls. */
const APPLETS = ['sh', 'cat', 'ifconfig', 'head', 'ls', 'mkdir', 'modprobe', 'mount', 'mv', 'sleep', 'sync', 'touch'];

/** The folder that such a guest has as its root, made once. */
export async function foreignRoot(architecture: Architecture): Promise<string> {
  const brought = fetchAll(architecture);
  return extracted(
    `root-${architecture}-node-${brought.nodeVersion}`,
    () => withNeeds(PACKAGES, architecture),
    architecture,
    async (root) => {
      // Newer packages have everything in /usr, and take it that /lib and its like lead there.
      for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
        mkdirSync(join(root, 'usr', name), { recursive: true });
        if (!existsSync(join(root, name))) symlinkSync(`usr/${name}`, join(root, name));
      }
      const busybox = ['usr/bin/busybox', 'bin/busybox'].find((path) => existsSync(join(root, path)));
      for (const applet of APPLETS) {
        const path = join(root, 'usr/bin', applet);
        if (!existsSync(path)) symlinkSync(`/${busybox}`, path);
      }
      copyFileSync(brought.node, join(root, 'usr/bin/node'));
      for (const name of ['proc', 'sys', 'dev', 'run', 'tmp', 'root']) mkdirSync(join(root, name), { recursive: true });
    },
  );
}

/** Bundles the loader for an architecture, with libbpf and koffi beside it, into a folder. Returns the name of its file. */
export async function bundleLoader(architecture: Architecture, folder: string): Promise<string> {
  const { koffi, libbpf } = fetchAll(architecture);
  await build({
    absWorkingDir: ROOT,
    entryPoints: { load: 'test/kernels/load.ts' },
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    logLevel: 'warning',
    define: { PACKAGED: 'true' },
    banner: { js: "import{createRequire as $r}from'node:module';const require=$r(import.meta.url);" },
    external: ['./koffi.node'],
    plugins: [native],
  });
  copyFileSync(koffi, join(folder, 'koffi.node'));
  copyFileSync(libbpf, join(folder, 'libbpf.so.1'));
  return 'load.mjs';
}
