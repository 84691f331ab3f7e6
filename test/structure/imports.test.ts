/**
 * Who imports whom: packages by layer, through what they export, and no circles.
 * docs/architecture.md draws the same.
 */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { ROOT } from '../../packaging/paths.ts';
import { allImports, circlesIn, type Import, importsIn } from './imports.ts';

/**
 * The packages that each package may import, from the ground up. `bin` and `packaging` may import
 * all.
 */
const LAYERS: Record<string, readonly string[]> = {
  base: [],
  contract: [],
  bpf: [],
  daemon: [],
  planner: ['contract'],
  agent: ['base', 'contract', 'daemon'],
  controller: ['base', 'contract', 'daemon', 'planner'],
  cli: ['base', 'contract'],
  console: ['contract', 'planner'],
  lab: ['base', 'contract'],
};

/**
 * The rooms of a package, from the ground up. Each may import those before it. Files beside the
 * rooms may import all rooms, except files with a place in the list.
 */
const ROOMS: Record<string, readonly string[]> = {
  agent: [
    'log.ts',
    'hook-option.ts',
    'netlink',
    'host',
    'datapath',
    'discovery',
    'throttle',
    'underlay',
    'reconcile',
    'looks',
    'probes',
    'migration',
    'controller-link',
    'preflight',
  ],
  controller: [
    'token-bucket.ts',
    'listen.ts',
    'problems',
    'sso',
    'audit',
    'store',
    'access',
    'auth',
    'people',
    'reports',
    'inventory',
    'planning',
    'tests',
    'history',
    'summaries',
    'events',
    'shared',
    'backup',
    'tls',
    'cluster',
    'streams',
    'looks',
    'decoder',
    'findings',
    'services.ts',
    'metrics',
    'sync',
    'http',
  ],
  console: ['text', 'api', 'data', 'parts', 'packets', 'policy', 'form', 'pages'],
};

/** Pairs of rooms that must not import each other, although one comes before the other. */
const STRANGERS: Record<string, readonly (readonly [above: string, below: string])[]> = {
  agent: [
    ['discovery', 'datapath'],
    ['controller-link', 'datapath'],
    ['controller-link', 'discovery'],
  ],
  controller: [
    ['sync', 'metrics'],
    ['http', 'sync'],
  ],
  console: [['form', 'policy']],
};

/**
 * The rooms of a package in the order of docs/architecture.md, with the files that have a place
 * among them.
 */
function documentedRooms(name: string): string[] {
  const text = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
  const [, list = ''] = text.slice(text.indexOf(`Within the ${name}`)).split('\n```\n');
  const places = [...list.matchAll(/^([\w.-]+)\/? /gm)].map(([, place]) => place!);
  return places.filter((place) => !/\.tsx?$/.test(place) || ROOMS[name]!.includes(place));
}

/** The table of docs/architecture.md. */
function documentedLayers(): Record<string, string[]> {
  const text = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
  const table = text.slice(text.indexOf('## Who may import whom'), text.indexOf('Within the agent'));
  const rows = [...table.matchAll(/^\| `(\w+)` \| .* \| ([^|]+) \|$/gm)];
  return Object.fromEntries(rows.map(([, name, list]) => [name, list === '-' ? [] : list!.split(', ')]));
}

/** Folders with files that are shipped, or that build shipped files. */
const SHIPPED = /^(packages\/[^/]+\/src|bin|packaging)\//;

interface PackageJson {
  name: string;
  dependencies?: Record<string, string>;
  exports: Record<string, string>;
}

const packageJson = (name: string) =>
  JSON.parse(readFileSync(join(ROOT, 'packages', name, 'package.json'), 'utf8')) as PackageJson;

/** The package that a file is in, and whether it is in its `src`. */
function home(file: string): { name: string; src: boolean } | undefined {
  const [, name, folder] = /^packages\/([^/]+)\/(?:(src)\/)?/.exec(file) ?? [];
  return name === undefined ? undefined : { name, src: folder === 'src' };
}

let imports: Import[];
before(() => {
  imports = allImports();
});

/** The imports that break a rule, a line each. */
const breaking = (isBroken: (one: Import) => boolean) =>
  imports.filter(isBroken).map(({ from, specifier }) => `${from} imports ${specifier}`);

test('every package has a layer, and stands above what it may import', () => {
  const packages = globSync('packages/*/package.json', { cwd: ROOT }).map((file) => file.split('/')[1]);
  assert.deepEqual(packages.sort(), Object.keys(LAYERS).sort());
  const order = Object.keys(LAYERS);
  for (const [name, below] of Object.entries(LAYERS)) {
    for (const one of below) {
      assert.ok(order.indexOf(one) < order.indexOf(name), `${one} stands below ${name}`);
    }
  }
});

test('docs/architecture.md says the same of each package', () => {
  assert.deepEqual(documentedLayers(), LAYERS);
});

test('the source of a package imports only packages of the layers below it', () => {
  assert.deepEqual(
    breaking(({ from, to }) => {
      const [here, there] = [home(from), home(to)];
      return here?.src === true && there !== undefined && here.name !== there.name
        ? !LAYERS[here.name]!.includes(there.name)
        : here?.src === true && there === undefined && !to.startsWith('node_modules/');
    }),
    [],
  );
});

for (const [name, order] of Object.entries(ROOMS)) {
  const source = `packages/${name}/src/`;
  const roomOf = (file: string) => (file.startsWith(source) ? file.slice(source.length).split('/')[0] : undefined);
  const isFile = (place: string) => /\.\w+$/.test(place);
  const rooms = order.filter((room) => !isFile(room));

  test(`a room of the ${name} imports only rooms below it`, () => {
    const broken = ({ from, to }: Import) => {
      const [here, there] = [roomOf(from), roomOf(to)];
      if (here === undefined || there === undefined || here === there || !order.includes(here)) {
        return false;
      }
      if (STRANGERS[name]!.some(([above, below]) => above === here && below === there)) {
        return true;
      }
      return !order.includes(there) || order.indexOf(there) > order.indexOf(here);
    };
    assert.deepEqual(breaking(broken), []);
    const found = new Set(imports.map(({ from }) => roomOf(from)).filter((room) => room && !isFile(room)));
    assert.deepEqual([...found].sort(), rooms.toSorted());
  });

  test(`docs/architecture.md has the rooms of the ${name} in this order`, () => {
    const documented = documentedRooms(name);
    assert.deepEqual(
      documented,
      order.filter((room) => rooms.includes(room) || documented.includes(room)),
    );
  });
}

test('no source file imports a test, and no test imports another test file', () => {
  assert.deepEqual(
    breaking(({ from, to }) => (SHIPPED.test(from) && !SHIPPED.test(to) && inTree(to)) || /\.test\.ts$/.test(to)),
    [],
  );
});

/** True for a TypeScript file of ours. */
const inTree = (file: string) => !file.startsWith('node_modules/') && /\.tsx?$/.test(file);

test('no file imports the source of a package by its path', () => {
  const outside = ({ from, to, specifier }: Import) =>
    home(to)?.src === true && home(from)?.name !== home(to)?.name && specifier.startsWith('.');
  assert.deepEqual(breaking(outside), []);
});

test('shipped code does not import exports that are for tests', () => {
  assert.deepEqual(
    breaking(({ from, specifier }) => SHIPPED.test(from) && /^@mirrorplane\/[^/]+\/testing/.test(specifier)),
    [],
  );
});

test('no files import each other in a circle', () => {
  assert.deepEqual(
    circlesIn(imports).map((circle) => circle.join(', ')),
    [],
  );
});

for (const name of Object.keys(LAYERS)) {
  test(`${name} exports a list, and each entry is there`, () => {
    const { exports } = packageJson(name);
    for (const [entry, file] of Object.entries(exports)) {
      assert.doesNotMatch(entry, /\*/, 'a pattern exports everything');
      assert.ok(existsSync(join(ROOT, 'packages', name, file)), `${entry}: there is no ${file}`);
    }
  });

  test(`each export of ${name} except its main one is used by another package`, () => {
    const used = new Set(imports.filter(({ from }) => home(from)?.name !== name).map(({ specifier }) => specifier));
    const unused = Object.keys(packageJson(name).exports).filter(
      (entry) => entry !== '.' && !used.has(`@mirrorplane/${name}${entry.slice(1)}`),
    );
    assert.deepEqual(unused, []);
  });

  test(`${name} declares the packages that its source imports, and no others`, () => {
    const imported = imports.filter(({ from }) => home(from)?.name === name && home(from)?.src === true);
    const names = imported
      .map(({ specifier }) => specifier)
      .filter((specifier) => !specifier.startsWith('.') && !isBuiltin(specifier))
      .map((specifier) => /^(@[^/]+\/)?[^/]+/.exec(specifier)![0]);
    assert.deepEqual(Object.keys(packageJson(name).dependencies ?? {}).sort(), [...new Set(names)].sort());
  });
}

test('reads type imports, and the file that a package name leads to', () => {
  const text = [
    'packages/a/src/x.ts',
    "   Imported via './x.ts' from file 'packages/a/src/y.ts'",
    '   Matched by include pattern',
    "packages/a/src/y.ts\n   Imported via \"@a/y\" from file 'test/z.ts' with packageId '@a/y@1'",
  ].join('\n');
  assert.deepEqual(importsIn(text), [
    { from: 'packages/a/src/y.ts', to: 'packages/a/src/x.ts', specifier: './x.ts' },
    { from: 'test/z.ts', to: 'packages/a/src/y.ts', specifier: '@a/y' },
  ]);
  const typeOnly = imports.find(
    ({ from, to }) => from === 'packages/planner/src/paths.ts' && to.endsWith('/programs.ts'),
  );
  assert.equal(typeOnly?.specifier, './programs.ts');
  const late = imports.find(({ specifier }) => specifier === '@mirrorplane/contract/errors');
  assert.equal(late?.to, 'packages/contract/src/errors.ts');
});

test('finds a circle of three, and takes a file that leads into it for no part of it', () => {
  const edge = (from: string, to: string): Import => ({ from, to, specifier: `./${to}` });
  const edges = [edge('a', 'b'), edge('b', 'c'), edge('c', 'a'), edge('d', 'a'), edge('a', 'e')];
  assert.deepEqual(circlesIn(edges), [['a', 'b', 'c']]);
  assert.deepEqual(circlesIn(edges.slice(1)), []);
  assert.deepEqual(circlesIn([edge('a', 'a')]), [['a']]);
});
