/**
 * The part of the `Reflect` metadata proposal that tsyringe needs. @peculiar/x509 uses tsyringe.
 * Import this file before that package.
 */
type Key = string | symbol;

interface MetadataReflect {
  defineMetadata?(key: Key, value: unknown, target: object): void;
  getOwnMetadata?(key: Key, target: object): unknown;
  getMetadata?(key: Key, target: object): unknown;
}

const reflect: MetadataReflect = Reflect as MetadataReflect;

if (reflect.getMetadata === undefined) {
  const metadata = new WeakMap<object, Map<Key, unknown>>();
  const own = (key: Key, target: object) => metadata.get(target)?.get(key);
  reflect.defineMetadata = (key, value, target) => {
    const map = metadata.get(target) ?? new Map<Key, unknown>();
    metadata.set(target, map.set(key, value));
  };
  reflect.getOwnMetadata = own;
  reflect.getMetadata = (key, target) => {
    for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at)) {
      const value = own(key, at);
      if (value !== undefined) {
        return value;
      }
    }
    return undefined;
  };
}
