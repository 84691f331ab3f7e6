/**
 * Reads features of devices, as `ethtool -k` does. One of them says whether a NIC may offload flows
 * past all hooks.
 */
import koffi from 'koffi';

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCETHTOOL = 0x8946;
/** Commands of include/uapi/linux/ethtool.h. */
const ETHTOOL = { GSTRINGS: 0x1b, GSSET_INFO: 0x37, GFEATURES: 0x3a } as const;
const ETH_SS_FEATURES = 4;
const ETH_GSTRING_LEN = 32;
/** With this feature, a NIC may offload flows. */
export const HW_TC_OFFLOAD = 'hw-tc-offload';
/** Far more features than any kernel has. */
const MAX_FEATURES = 1024;

type Ioctl = (device: string, request: Buffer) => boolean;

const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
const read32 = (data: Buffer, at: number) => (LITTLE ? data.readUInt32LE(at) : data.readUInt32BE(at));

/** A struct of 32-bit words in host order, followed by room for the answer. */
function request(words: readonly number[], room: number): Buffer {
  const head = Buffer.from(new Uint32Array(words).buffer);
  return Buffer.concat([head, Buffer.alloc(room)]);
}

/** Number of features that the kernel knows, `ETHTOOL_GSSET_INFO`. */
function countFeatures(ioctl: Ioctl, device: string): number {
  // cmd, reserved, sset_mask (64 bits); the answer has a length for each bit of the mask that is
  // left.
  const mask = new BigUint64Array([1n << BigInt(ETH_SS_FEATURES)]);
  const query = Buffer.concat([request([ETHTOOL.GSSET_INFO, 0], 0), Buffer.from(mask.buffer), Buffer.alloc(4)]);
  return ioctl(device, query) ? Math.min(read32(query, 16), MAX_FEATURES) : 0;
}

/** Position of the feature among all, or -1. The same for every device of a kernel. */
function featureIndex(ioctl: Ioctl, device: string, feature: string): number {
  const count = countFeatures(ioctl, device);
  const query = request([ETHTOOL.GSTRINGS, ETH_SS_FEATURES, count], count * ETH_GSTRING_LEN);
  if (count === 0 || !ioctl(device, query)) {
    return -1;
  }
  const names = Array.from({ length: count }, (_, i) =>
    query.toString('latin1', 12 + i * ETH_GSTRING_LEN, 12 + (i + 1) * ETH_GSTRING_LEN).replace(/\0.*$/s, ''),
  );
  return names.indexOf(feature);
}

/** Whether a feature is active on a device. */
function isActive(ioctl: Ioctl, device: string, index: number): boolean {
  const words = (index >>> 5) + 1;
  // cmd, size; then, for every 32 features: available, requested, active, never_changed.
  const query = request([ETHTOOL.GFEATURES, words], words * 16);
  if (!ioctl(device, query)) {
    return false;
  }
  return ((read32(query, 8 + (index >>> 5) * 16 + 8) >>> (index & 31)) & 1) === 1;
}

/**
 * Calls the kernel by ioctl. False if the kernel refuses, for example for a device that has just
 * been removed.
 */
function kernelIoctl(): Ioctl {
  const libc = koffi.load('libc.so.6');
  const ifreq = koffi.struct({ name: koffi.array('char', 16), data: 'void *', rest: koffi.array('uint8_t', 16) });
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const ioctl = libc.func('ioctl', 'int', ['int', 'unsigned long', koffi.inout(koffi.pointer(ifreq))]);
  const close = libc.func('int close(int fd)');
  return (device, data) => {
    const fd: number = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0) {
      return false;
    }
    try {
      return ioctl(fd, SIOCETHTOOL, { name: device, data, rest: new Uint8Array(16) }) === 0;
    } finally {
      close(fd);
    }
  };
}

/**
 * Returns a function that says whether a feature is active on a device, by the device's name.
 * @param feature the kernel's name (net/ethtool/common.c, netdev_features_strings)
 */
export function featureReader(feature: string): (device: string) => boolean {
  const ioctl = kernelIoctl();
  let index = -1;
  return (device) => {
    if (index < 0) {
      index = featureIndex(ioctl, device, feature);
    }
    return index >= 0 && isActive(ioctl, device, index);
  };
}
