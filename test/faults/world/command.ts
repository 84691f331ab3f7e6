/** The command of this checkout. */
import path from 'node:path';

export const MIRRORPLANE = path.resolve(import.meta.dirname, '../../../bin/mirrorplane');
