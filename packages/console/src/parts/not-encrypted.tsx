/** Says on every page that it is not encrypted, where others can read it on the way. */
import { Alert } from '@mantine/core';
import type { ReactNode } from 'react';
import { text } from '../text/index.ts';

export function NotEncrypted(): ReactNode {
  // Browsers call a page secure by TLS, and on this computer alone.
  return globalThis.isSecureContext ? null : (
    <Alert color="red" title={text.session.notEncrypted} role="alert">
      {text.session.notEncryptedRemedy}
    </Alert>
  );
}
