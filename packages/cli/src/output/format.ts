/** The formats in which a command prints. */

/** Values of `--output`, as `--help` lists them. */
export const FORMATS = ['table', 'wide', 'json', 'yaml', 'name'] as const;
export type Format = (typeof FORMATS)[number];
