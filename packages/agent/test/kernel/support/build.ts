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

/** Compiles all of them. */
export function otherBuilds(): Builds {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-builds-'));
  const resize = (maps: string, name: string) => {
    const resized = maps.replace(
      new RegExp(`max_entries, (\\w+)(\\);(?:(?!max_entries)[^])*?\\} ${name} SEC)`),
      'max_entries, $1 + 1$2',
    );
    if (resized === maps) throw new Error(`there is no map ${name} to resize`);
    return resized;
  };
  const build = (name: string, resized: string[]) => {
    const copy = join(folder, name);
    cpSync(join(SOURCE, 'src'), join(copy, 'src'), { recursive: true });
    cpSync(join(SOURCE, 'Makefile'), join(copy, 'Makefile'));
    const maps = join(copy, 'src/maps.h');
    writeFileSync(maps, resized.reduce(resize, readFileSync(maps, 'utf8')));
    const main = join(copy, 'src/mirror.bpf.c');
    writeFileSync(main, `${readFileSync(main, 'utf8')}\nchar BUILD[] SEC("build") = "${name}";\n`);
    execFileSync('make', ['-s', '-C', copy], { stdio: ['ignore', 'ignore', 'inherit'] });
    return join(copy, 'dist/mirror.bpf.o');
  };
  return {
    same: build('same', []),
    tables: build('tables', ['captures', 'deliveries', 'terminations', 'budget_rates', 'copy_vlans']),
    counters: build('counters', ['capture_counters', 'termination_sequences']),
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
