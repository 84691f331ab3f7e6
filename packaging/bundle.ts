/**
 * One folder of JavaScript for each program, by esbuild: everything of ours and of npm that it
 * imports.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { standardText } from './licence-text.ts';
import { ROOT } from './paths.ts';

/** The programs that are bundled, and where each begins. */
const ENTRIES = {
  cli: 'packages/cli/src/main.ts',
  agent: 'packages/agent/src/main.ts',
  controller: 'packages/controller/src/main.ts',
} as const;
export type Program = keyof typeof ENTRIES;

/** An npm package whose code is in a bundle. */
export interface Bundled {
  name: string;
  version: string;
  licence: string;
  /** The text of its licence: its own file, or the usual text of the licence that it names. */
  text: string;
}

/**
 * Bundles one program into `folder/main.mjs` and the parts that it loads late.
 * @param version what `--version` says
 * @returns the npm packages that are in it
 */
export async function bundle(program: Program, folder: string, version: string): Promise<Bundled[]> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: { main: ENTRIES[program] },
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    legalComments: 'none',
    // Names and lines stay, so that a stack trace of a user can be read.
    minifySyntax: true,
    metafile: true,
    logLevel: 'warning',
    // Code that a module runs when it is started directly must not run within a bundle.
    define: { PACKAGED: 'true', 'import.meta.main': 'false' },
    // CommonJS modules in the bundle still use require() for built-in modules.
    banner: { js: "import{createRequire as $r}from'node:module';const require=$r(import.meta.url);" },
    external: ['./koffi.node', './netlink.node'],
    plugins: [versioned(version), native],
  });
  for (const output of Object.keys(metafile.outputs)) {
    toAscii(join(ROOT, output));
  }
  return bundledPackages(Object.keys(metafile.inputs));
}

/**
 * Replaces what is not ASCII: esbuild leaves it in comments alone. V8 keeps the whole source of a
 * module with two bytes for each character, if one of them is not Latin.
 */
function toAscii(path: string): void {
  const text = readFileSync(path, 'utf8');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant
  writeFileSync(path, text.replace(/[^\x00-\x7f]/g, '?'));
}

/** The version of this build, in place of the one in package.json. */
function versioned(version: string): Plugin {
  const ours = new RegExp(`^${join(ROOT, 'packages')}/[a-z]+/package[.]json$`);
  return {
    name: 'version',
    setup(build) {
      build.onLoad({ filter: ours }, () => ({ contents: JSON.stringify({ version }), loader: 'json' }));
    },
  };
}

/** Native modules are beside the bundle, one file each, so that no folders are searched. */
const native: Plugin = {
  name: 'native',
  setup(build) {
    build.onLoad({ filter: /\/koffi\/src\/koffi\/src\/static[.]js$/ }, () => ({
      contents: "export const loadStatic = () => require('./koffi.node');",
    }));
    build.onLoad({ filter: /\/netlink\/dist\/raw[.]js$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      const contents = text.replace("require('node-gyp-build')(__dirname + '/..')", "require('./netlink.node')");
      if (contents === text) {
        throw new Error(`${path} loads its native module in another way than it did`);
      }
      return { contents };
    });
  },
};

/** The author in a package.json: a text, or an object with a name. */
function nameOf(author: unknown): string {
  return typeof author === 'string' ? author : String((author as { name?: string } | undefined)?.name ?? '');
}

function bundledPackages(inputs: readonly string[]): Bundled[] {
  const names = new Set<string>();
  for (const input of inputs) {
    const name = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
    if (name !== undefined && !name.startsWith('@mirrorplane/')) {
      names.add(name);
    }
  }
  return [...names].sort().map((name) => {
    const folder = join(ROOT, 'node_modules', name);
    const { version, license, author } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? standardText(license, nameOf(author)) : readFileSync(join(folder, file), 'utf8');
    return { name, version, licence: String(license), text };
  });
}
