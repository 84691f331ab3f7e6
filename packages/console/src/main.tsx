/** Where the console begins. */
import '@mantine/core/styles.css';
import './global.css';
import { MantineProvider } from '@mantine/core';
import { QueryClientProvider } from '@tanstack/react-query';
import { createRoot } from 'react-dom/client';
import { session } from './api/session.ts';
import { App } from './app.tsx';
import { queryClient } from './data/query-client.ts';
import { reloadOnMissingParts } from './data/reload.ts';
import { NotEncrypted } from './parts/not-encrypted.tsx';
import { theme } from './theme.ts';

/** Styles that libraries add to the page need it: the policy of the page allows no others. */
const nonce = document.querySelector<HTMLMetaElement>('meta[property=csp-nonce]')?.nonce ?? '';
// react-style-singleton, which keeps the page behind a dialog from scrolling, reads this name.
Object.assign(globalThis, { __webpack_nonce__: nonce });

reloadOnMissingParts();
void session.start();
createRoot(document.querySelector('#root')!).render(
  <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={() => nonce}>
    <QueryClientProvider client={queryClient}>
      <NotEncrypted />
      <App />
    </QueryClientProvider>
  </MantineProvider>,
);
