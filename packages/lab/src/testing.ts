/** Internal parts of the lab for tests and measurements. Nothing that is shipped imports this. */
export { asUser, haveUsers } from './daemon-users.ts';
export { MIRRORPLANE } from './daemons.ts';
export { guestLines, nodeVmFdbLines, nodeVmLines, tapMac } from './links.ts';
export { CommandError, commandEnv, run, start } from './netns.ts';
export { cacheFolder, makeOnce } from './qemu/guest-image.ts';
export { initramfs } from './qemu/initramfs.ts';
export { machineSockets } from './qemu/machine.ts';
export { countedIn } from './qemu/probe.ts';
export { Qmp } from './qemu/qmp.ts';
