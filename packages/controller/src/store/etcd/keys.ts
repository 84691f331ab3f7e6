/** Ranges of keys in etcd. */

/** The first key behind all keys that begin with `prefix`. No byte of UTF-8 is 255. */
export function afterPrefix(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  end[end.length - 1]! += 1;
  return end;
}
