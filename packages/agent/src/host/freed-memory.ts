/** Memory of the C library that nobody uses any more. */
import koffi from 'koffi';

/**
 * Returns memory that was freed to the system. Loading programs takes several megabytes for a moment,
 * the types of the kernel most of all, and the C library would keep them.
 */
export function returnFreedMemory(): void {
  try {
    koffi.load('libc.so.6').func('int malloc_trim(size_t pad)')(0);
  } catch {
    // Another C library has no such call.
  }
}
