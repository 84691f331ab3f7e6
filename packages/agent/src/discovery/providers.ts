/** Makes the identity providers of an agent. */
import type { Logger } from '../log.ts';
import { ContainerSource } from './containers.ts';
import { IncusSource } from './incus.ts';
import { LibvirtProvider } from './libvirt.ts';
import { OpenVswitchProvider } from './open-vswitch.ts';
import { PolledProvider } from './polled-provider.ts';
import type { IdentityProvider } from './provider.ts';
import { ProxmoxSource } from './proxmox.ts';

/**
 * The place of each provider's system. `auto`: the usual place, if the system exists. `off`: not
 * used. Default auto.
 */
export interface ProviderOptions {
  /** Connection URI of libvirt. */
  libvirt?: string | undefined;
  /** Folder of the mounted cluster file system of Proxmox VE. */
  proxmox?: string | undefined;
  /** Socket of Incus or LXD. */
  incus?: string | undefined;
  /**
   * Sockets of Docker or Podman, and folders of bundles of containerd or CRI-O, with commas between
   * them.
   */
  containers?: string | undefined;
  /** Socket of the Open vSwitch database. */
  openVswitch?: string | undefined;
  /**
   * Distinguishes ids of different clusters. Default: for Proxmox VE the name of its cluster, for
   * pods none.
   */
  identityScope?: string | undefined;
  /** Name of the node. */
  node: string;
  log: Logger;
}

/** All providers that are not switched off, in order of precedence. */
export function createProviders(options: ProviderOptions): IdentityProvider[] {
  const { identityScope: scope, node, log } = options;
  const make = (place: string | undefined, provider: (place: string) => IdentityProvider) =>
    place === 'off' ? [] : [provider(place ?? 'auto')];
  return [
    ...make(options.libvirt, (uri) => new LibvirtProvider({ uri, log })),
    ...make(options.proxmox, (folder) => new PolledProvider(new ProxmoxSource({ folder, scope, log }))),
    ...make(options.incus, (socket) => new PolledProvider(new IncusSource({ socket, log }))),
    ...make(options.containers, (runtimes) => new PolledProvider(new ContainerSource({ runtimes, node, scope, log }))),
    ...make(options.openVswitch, (socket) => new OpenVswitchProvider({ socket, log })),
  ];
}
