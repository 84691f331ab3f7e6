/** Further builds of the data plane, from the same sources with a difference. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SOURCE = join(import.meta.dirname, '../../../../bpf');

/** Object files in a folder that `close` removes. */
export interface Builds {
  /** As released, under another hash. */
  same: string;
  /** Maps that user space fills have other sizes. */
  tables: string;
  /** The maps of counters have other sizes. */
  counters: string;
  close(): void;
}

/**
 * Copies the sources to `folder`, lets `change` edit them there, and compiles. Returns the path of
 * the object file.
 */
function buildIn(folder: string, change: (edit: (file: string, to: (text: string) => string) => void) => void): string {
  cpSync(join(SOURCE, 'src'), join(folder, 'src'), { recursive: true });
  cpSync(join(SOURCE, 'Makefile'), join(folder, 'Makefile'));
  change((file, to) => {
    const path = join(folder, 'src', file);
    writeFileSync(path, to(readFileSync(path, 'utf8')));
  });
  execFileSync('make', ['-s', '-C', folder], { stdio: ['ignore', 'ignore', 'inherit'] });
  return join(folder, 'dist/mirror.bpf.o');
}

/** The data plane with one more program at the end of its main file. */
export function buildWith(folder: string, program: string): string {
  return buildIn(folder, (edit) => edit('mirror.bpf.c', (text) => `${text}\n${program}\n`));
}

/** Compiles all of them. */
export function otherBuilds(): Builds {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-builds-'));
  const resize = (maps: string, name: string) => {
    const resized = maps.replace(
      new RegExp(`max_entries, (\\w+)(\\);(?:(?!max_entries)[^])*?\\} ${name} SEC)`),
      'max_entries, $1 + 1$2',
    );
    if (resized === maps) {
      throw new Error(`there is no map ${name} to resize`);
    }
    return resized;
  };
  const build = (name: string, resized: string[]) =>
    buildIn(join(folder, name), (edit) => {
      edit('maps.h', (maps) => resized.reduce(resize, maps));
      edit('mirror.bpf.c', (main) => `${main}\nchar BUILD[] SEC("build") = "${name}";\n`);
    });
  return {
    same: build('same', []),
    tables: build('tables', ['captures', 'deliveries', 'terminations', 'budget_rates', 'copy_vlans']),
    counters: build('counters', ['capture_counters', 'termination_sequences']),
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
