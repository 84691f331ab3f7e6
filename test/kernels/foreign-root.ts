/**
 * A root for a guest of the other architecture, out of the packages that a host of that
 * architecture would install: what Mirrorplane and its kernel tests call. No script of the packages
 * runs, and nothing is emulated while it is made.
 */
import { copyFileSync, cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fetchAll } from '../../packaging/fetch.ts';
import { type Architecture, extracted, withNeeds } from './apt.ts';

const PACKAGES = [
  ...['libbpf1', 'libstdc++6', 'iproute2', 'ethtool', 'tcpdump', 'tshark', 'python3-scapy', 'bpftool'],
  ...['dash', 'bash', 'coreutils', 'util-linux', 'mount', 'kmod', 'procps', 'nftables', 'grep', 'sed', 'findutils'],
];

/**
 * The folder that such a guest has as its root, made once. The source tree has to be shared with it
 * beside.
 */
export async function foreignRoot(architecture: Architecture): Promise<string> {
  const { node, nodeVersion, koffi } = fetchAll(architecture);
  const packages = () => withNeeds(PACKAGES, architecture);
  return extracted(`root-${architecture}-${nodeVersion}`, packages, architecture, async (root) => {
    // Newer packages have everything in /usr, and take it that /lib and its like lead there.
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
      mkdirSync(join(root, 'usr', name), { recursive: true });
      if (!existsSync(join(root, name))) {
        symlinkSync(`usr/${name}`, join(root, name));
      }
    }
    if (!existsSync(join(root, 'usr/bin/sh'))) {
      symlinkSync('dash', join(root, 'usr/bin/sh'));
    }
    copyFileSync(node, join(root, 'usr/bin/node'));
    // Node.js looks for packages in each folder above the source tree, and so in this one too.
    const module = dirname(dirname(koffi));
    const npmName = architecture === 'amd64' ? 'x64' : architecture;
    cpSync(module, join(root, 'node_modules/@koromix', `koffi-linux-${npmName}`), { recursive: true });
    for (const name of ['proc', 'sys', 'dev', 'run', 'tmp', 'root']) {
      mkdirSync(join(root, name), { recursive: true });
    }
  });
}
