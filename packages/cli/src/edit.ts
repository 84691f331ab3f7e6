/** Editing a policy as YAML in the operator's editor. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Policy } from '@mirrorplane/contract';
import type { Response } from './client.ts';
import type { Context } from './context.ts';
import { parseDocuments } from './documents.ts';
import { CliError } from './exit.ts';
import { toYaml } from './output/render.ts';
import { pathOf, specOf } from './resources.ts';

/**
 * Opens a policy in the editor, and sends the result if nobody else changed the policy meanwhile.
 * @returns the policy as it is now. Undefined: the text was not changed
 * @throws the error of the controller; the text is kept, and its file is named on stderr
 */
export async function editInEditor(
  context: Context,
  before: Response<Policy>,
  dryRun: boolean,
): Promise<Policy | undefined> {
  const { name } = before.body;
  checkTerminal(name);
  const file = join(mkdtempSync(join(tmpdir(), 'mirrorplane-edit-')), `${name}.yaml`);
  const original = textOf(before.body);
  writeFileSync(file, original, { mode: 0o600 });
  let keep = false;
  try {
    runEditor(file);
    const text = readFileSync(file, 'utf8');
    if (text === original) {
      return undefined;
    }
    // From here on the file contains work of the operator.
    keep = true;
    const documents = parseDocuments(text, file, 'Policy');
    const [document] = documents;
    if (documents.length !== 1 || document?.kind !== 'Policy') {
      throw new CliError('usage', `${file} must hold one document, a Policy`);
    }
    const answer = await context.client.request<Policy>('PUT', pathOf('Policy', name), {
      body: document.spec,
      ifMatch: before.etag,
      dryRun,
    });
    keep = dryRun;
    return answer.body;
  } finally {
    if (keep) {
      context.note(
        `your text is kept in ${file}; compare it with "mirrorplane policy show ${name}", correct it, ` +
          `and send it with "mirrorplane policy apply -f ${file}"\n`,
      );
    } else {
      rmSync(dirname(file), { recursive: true, force: true });
    }
  }
}

function textOf(policy: Policy): string {
  const comment =
    `# Mirror policy ${policy.name} (${policy.type}), revision ${policy.revision}.\n` +
    '# Save and leave the editor to apply it; leave it unchanged to do nothing.\n';
  return comment + toYaml({ kind: 'Policy', name: policy.name, ...specOf('Policy', policy) });
}

/** Editors that need a terminal. Others, such as a script, may run without one. */
const ON_SCREEN = ['vi', 'vim', 'nvim', 'view', 'nano', 'pico', 'emacs', 'joe', 'jed', 'ne', 'mcedit', 'micro', 'hx'];

/** @throws CliError (usage) if the editor needs a terminal and there is none */
function checkTerminal(name: string): void {
  const program = editorOf().trim().split(/\s+/)[0]!.split('/').at(-1)!;
  if ((process.stdin.isTTY && process.stdout.isTTY) || !ON_SCREEN.includes(program)) {
    return;
  }
  throw new CliError(
    'usage',
    `there is no terminal for the editor "${program}": give the changes as options (--help), or write them to a file with ` +
      `"mirrorplane policy show ${name} -o yaml > FILE" and apply it with "mirrorplane apply -f FILE"`,
  );
}

function editorOf(): string {
  return process.env.VISUAL || process.env.EDITOR || 'vi';
}

function runEditor(file: string): void {
  const editor = editorOf();
  // A shell runs it, because the variable may contain arguments, for example "code --wait".
  const result = spawnSync('/bin/sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit' });
  if (result.status !== 0) {
    const how = result.status === 127 ? 'was not found; set EDITOR' : `ended with ${result.status ?? result.signal}`;
    throw new CliError('usage', `the editor "${editor}" ${how}; nothing was changed`);
  }
}
