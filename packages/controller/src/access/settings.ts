/** Settings of access, as the store has them. */
import type { AccessSettings } from '@mirrorplane/contract';
import type { View } from '../store/view.ts';

/** Name of the record of these settings. */
export const ACCESS = 'access';

/** The settings, or those of a new controller. */
export function accessSettings(view: View): AccessSettings {
  return view.get('settings', ACCESS)?.value ?? { fourEyes: false };
}
