/** Names of interfaces for people. */
import type { View } from '../store/view.ts';

/** The display name of an interface by its id; empty where it is not known. */
export function displayNames(view: View): (id: string) => string {
  const interfaces = view.all('interfaces');
  return (id) => interfaces.get(id)?.value.name ?? '';
}
