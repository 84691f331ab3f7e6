/**
 * The texts of the console in the language of this browser. Every word that a page shows of its own
 * comes from here.
 */
import { en } from './en.ts';
import { pseudo } from './pseudo.ts';

/** What a language has to say. */
export type Text = typeof en;

/**
 * `pseudo`: the texts marked and longer, so that a test sees what is not in the catalogue, or has
 * no room.
 */
const LOCALE = localStorage.getItem('mirrorplane.locale');

export const text: Text = LOCALE === 'pseudo' ? pseudo(en) : en;
