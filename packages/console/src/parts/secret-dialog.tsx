/** A secret that is shown once: it goes with the dialog. */
import { Button } from '@mantine/core';
import type { ReactNode } from 'react';
import { text } from '../text/index.ts';
import { CodeBlock } from './code-block.tsx';
import { Dialog } from './dialog.tsx';

export function SecretDialog(props: { title: string; how: string; secret: string; onClose(): void }): ReactNode {
  const { title, how, secret, onClose } = props;
  return (
    <Dialog title={title} onClose={onClose}>
      <div className="panel">
        <p>{how}</p>
        <CodeBlock label={title} code={secret} />
        <div>
          <Button onClick={onClose}>{text.people.account.done}</Button>
        </div>
      </div>
    </Dialog>
  );
}
