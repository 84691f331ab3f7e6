/** How the console is built: `vite build` writes dist/, which the controller serves. */
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  root: import.meta.dirname,
  // The React Compiler stays off: it freezes what the virtualizer of tables returns.
  plugins: [react()],
  build: {
    target: 'es2022',
    // A test reads in it what a browser loads first.
    manifest: 'manifest.json',
    // Packages ship it with the console.
    license: { fileName: 'licences.md' },
    // The policy of the page allows no scripts and fonts from `data:`.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  // `vite` alone, beside a controller on this host, shows a change at once.
  server: { proxy: { '/api': process.env.MIRRORPLANE_URL ?? 'http://127.0.0.1:7070' } },
});
