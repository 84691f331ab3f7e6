/**
 * Reads enums out of BTF, the kernel's description of its own types
 * (Documentation/bpf/btf.rst). Pure.
 */

/** A string section, and how long the one before it is: that of a module continues the kernel's. */
interface Strings {
  bytes: Buffer;
  base: number;
}

const MAGIC = 0xeb9f;
/** struct btf_type. */
const TYPE_SIZE = 12;
const KIND_ENUM = 6;

/** Bytes behind a struct btf_type, by kind: for each member, or in all. Of other kinds there are none. */
const EACH: Readonly<Record<number, number>> = { 4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12 };
const ONCE: Readonly<Record<number, number>> = { 1: 4, 3: 12, 14: 4, 17: 4 };

/**
 * The names of an enum of 32 bits by number, of all its definitions.
 * @param btf contents of /sys/kernel/btf/vmlinux, or of a module there
 * @param base contents of the former, where `btf` is of a module
 * @returns empty where there is no enum of this name
 * @throws Error where it is no BTF
 */
export function enumNames(btf: Buffer, name: string, base?: Buffer): Map<number, string> {
  const { types, strings } = sections(btf, base === undefined ? 0 : sections(base).strings.bytes.length);
  const names = new Map<number, string>();
  const [wanted, inBase] = [nameOffset(strings, name), base && nameOffset(sections(base).strings, name)];
  for (let at = 0; at + TYPE_SIZE <= types.length; ) {
    const info = types.readUInt32LE(at + 4);
    const [kind, count] = [(info >> 24) & 31, info & 0xffff];
    const offset = types.readUInt32LE(at);
    at += TYPE_SIZE;
    if (kind === KIND_ENUM && offset !== 0 && (offset === wanted || offset === inBase)) {
      for (let i = 0; i < count; i++) {
        names.set(types.readUInt32LE(at + 8 * i + 4), stringAt(strings, types.readUInt32LE(at + 8 * i)));
      }
    }
    at += (ONCE[kind] ?? 0) + (EACH[kind] ?? 0) * count;
  }
  return names;
}

function sections(btf: Buffer, base = 0): { types: Buffer; strings: Strings } {
  if (btf.length < 24 || btf.readUInt16LE(0) !== MAGIC) {
    throw new Error('this is no BTF');
  }
  // struct btf_header: hdr_len, type_off, type_len, str_off, str_len, offsets from the end of the header
  const [header, typeAt, typeSize, stringAt, stringSize] = [4, 8, 12, 16, 20].map((at) => btf.readUInt32LE(at)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const part = (at: number, size: number) => btf.subarray(header + at, header + at + size);
  return { types: part(typeAt, typeSize), strings: { bytes: part(stringAt, stringSize), base } };
}

function nameOffset({ bytes, base }: Strings, name: string): number | undefined {
  const at = bytes.indexOf(`\0${name}\0`);
  return at < 0 ? undefined : base + at + 1;
}

/** Empty for a name of the kernel's in a module. */
function stringAt({ bytes, base }: Strings, offset: number): string {
  if (offset < base) {
    return '';
  }
  return bytes.toString('latin1', offset - base, bytes.indexOf(0, offset - base));
}
