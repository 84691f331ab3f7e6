/**
 * Writes the archive that a Linux kernel unpacks as its first file system: cpio in the "newc"
 * format.
 */

/** A file, folder, link or character device of the archive. */
export interface InitramfsEntry {
  /** Without a leading slash. Folders stand before what is in them. */
  path: string;
  /** Type and permissions as in `stat`, for example 0o100755. */
  mode: number;
  /** The content of a file, or the target of a symbolic link. Default empty. */
  data?: Buffer | string;
  /** Major and minor number of a device. */
  device?: [major: number, minor: number];
}

const ALIGN = 4;
const TRAILER = 'TRAILER!!!';

function padded(bytes: Buffer): Buffer {
  const rest = bytes.length % ALIGN;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(ALIGN - rest)]);
}

/**
 * Builds the archive. Equal entries give equal bytes: owners and times are 0, inodes count up.
 * Pure.
 */
export function initramfs(entries: readonly InitramfsEntry[]): Buffer {
  const parts = [...entries, { path: TRAILER, mode: 0 } as InitramfsEntry].map((entry, i) => {
    const { path, mode, data = '', device = [0, 0] } = entry;
    const content = Buffer.from(data);
    const name = Buffer.from(`${path}\0`);
    const [inode, uid, gid, links, mtime] = [path === TRAILER ? 0 : i + 1, 0, 0, 1, 0];
    // The device numbers of the file system come before those of the entry. The last field is a
    // checksum, which newc does not use.
    const fields = [inode, mode, uid, gid, links, mtime, content.length, 0, 0, ...device, name.length, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
    return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(content)]);
  });
  return Buffer.concat(parts);
}
