/** What the ERSPAN headers of a frame must say, read from the frame alone. */
export interface Fields {
  vlan: number;
  cos: number;
  en: number;
  t: number;
}

const TAGS = new Set(['8100', '88a8']);

/**
 * VLAN, COS and En are those of the outermost tag; T where the frame does not fit into `mtu` with
 * its outer headers.
 */
export function fieldsOf(frame: string, mtu: number): Fields {
  const t = frame.length / 2 + 36 > mtu ? 1 : 0;
  if (!TAGS.has(frame.slice(24, 28))) {
    return { vlan: 0, cos: 0, en: 0, t };
  }
  const tci = Number.parseInt(frame.slice(28, 32), 16);
  return { vlan: tci & 0xfff, cos: tci >> 13, en: 3, t };
}

/** What of a frame arrives: all of it, or as much as fits. */
export function carried(frame: string, mtu: number): string {
  return frame.slice(0, 2 * (mtu - 36));
}
