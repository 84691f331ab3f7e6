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
import { theme } from './theme.ts';

reloadOnMissingParts();
void session.start();
createRoot(document.querySelector('#root')!).render(
  <MantineProvider theme={theme} defaultColorScheme="auto">
    <QueryClientProvider client={queryClient}>
      <App />
    </QueryClientProvider>
  </MantineProvider>,
);
