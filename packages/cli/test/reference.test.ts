/** docs/reference/cli.md agrees with the program. Answers of the program to wrong usage. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { Command } from 'commander';
import { EXIT_CODES } from '../src/exit.ts';
import { buildProgram } from '../src/program.ts';
import { commandReference, REFERENCE_BEGIN, REFERENCE_END } from '../src/reference.ts';

const FILE = new URL('../../../docs/reference/cli.md', import.meta.url);

/** The words that lead to every command that does something. */
function leaves(command: Command, words: string[] = []): string[] {
  if (command.commands.length === 0) {
    return [words.join(' ')];
  }
  return command.commands.flatMap((child) => leaves(child, [...words, child.name()]));
}

describe('docs/reference/cli.md', () => {
  it('holds the commands as the program has them; MIRRORPLANE_UPDATE_DOCS=1 writes them anew', () => {
    const text = readFileSync(FILE, 'utf8');
    const begin = text.indexOf(REFERENCE_BEGIN);
    const end = text.indexOf(REFERENCE_END);
    assert.ok(begin >= 0 && end > begin, 'the marks of the generated part are there');
    const whole = `${text.slice(0, begin)}${REFERENCE_BEGIN}\n\n${commandReference(buildProgram())}\n${text.slice(end)}`;
    if (process.env.MIRRORPLANE_UPDATE_DOCS) {
      writeFileSync(FILE, whole);
    }
    assert.equal(readFileSync(FILE, 'utf8'), whole);
  });

  it('names every command, every option and every exit code', () => {
    const text = readFileSync(FILE, 'utf8');
    for (const words of leaves(buildProgram())) {
      assert.match(text, new RegExp(`^###? mirrorplane ${words}( |$)`, 'm'), words);
    }
    // A command that has others below it, and does something itself.
    assert.match(text, /^## mirrorplane node token \[NAME\]$[^#]*`--pool <name>`/m);
    for (const { code } of Object.values(EXIT_CODES)) {
      assert.match(text, new RegExp(`^\\| ${code} \\|`, 'm'));
    }
  });
});

describe('the program', () => {
  it('describes every command and every option', () => {
    const visit = (command: Command) => {
      assert.notEqual(command.description(), '', command.name());
      for (const option of command.options) {
        assert.notEqual(option.description, '', `${command.name()} ${option.flags}`);
      }
      command.commands.forEach(visit);
    };
    visit(buildProgram());
  });
});
