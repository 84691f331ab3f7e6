/**
 * Dialogs that change something: what the controller refuses stands at its field, and the dialog
 * stays open.
 */
import { Button, Modal } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useState } from 'react';
import { ProblemError } from '../api/client.ts';
import { queryClient } from '../data/query-client.ts';
import { text } from '../text/index.ts';
import { Said } from './marks.tsx';
import { ProblemAlert } from './problem.tsx';

/** What the controller said of a field, or of a part of it. */
export function refusalOf(error: Error | null, field: string): ReactNode {
  const errors = error instanceof ProblemError ? (error.problem.errors ?? []) : [];
  const found = errors.filter((one) => one.field === field || one.field.startsWith(`${field}[`));
  return found.length === 0 ? undefined : <Said>{found.map(({ message }) => message).join('; ')}</Said>;
}

export interface FormDialogProps {
  title: string;
  submit: string;
  color?: string;
  canSubmit: boolean;
  /** Throws what was refused. */
  onSubmit(): Promise<unknown>;
  onClose(): void;
  children(error: Error | null): ReactNode;
}

/** A form in a dialog. When it is done, all lists are read again. */
export function FormDialog(props: FormDialogProps): ReactNode {
  const { title, submit, color, canSubmit, onSubmit, onClose, children } = props;
  const change = useMutation({
    mutationFn: onSubmit,
    onSuccess: () => {
      void queryClient.invalidateQueries();
      onClose();
    },
  });
  const send = (event: FormEvent) => {
    event.preventDefault();
    change.mutate();
  };
  return (
    <Modal opened onClose={onClose} title={title} closeButtonProps={{ 'aria-label': text.common.cancel }}>
      <form className="panel" onSubmit={send}>
        {children(change.error)}
        <ProblemAlert error={change.error} />
        <div className="bar">
          <Button type="submit" loading={change.isPending} disabled={!canSubmit} {...(color && { color })}>
            {submit}
          </Button>
          <Button variant="default" onClick={onClose}>
            {text.common.cancel}
          </Button>
        </div>
      </form>
    </Modal>
  );
}

/** A button, and the dialog that it opens. */
export function DialogButton(props: {
  label: string;
  variant?: string;
  color?: string;
  dialog(close: () => void): ReactNode;
}): ReactNode {
  const { label, variant = 'default', color, dialog } = props;
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button variant={variant} {...(color && { color })} onClick={() => setOpen(true)}>
        {label}
      </Button>
      {isOpen && dialog(() => setOpen(false))}
    </>
  );
}

/** Asks before something is deleted. */
export function DeleteButton(props: { title: string; how: string; onDelete(): Promise<unknown> }): ReactNode {
  const { title, how, onDelete } = props;
  return (
    <DialogButton
      label={text.common.delete}
      color="red"
      dialog={(onClose) => (
        <FormDialog
          title={title}
          submit={text.common.delete}
          color="red"
          canSubmit
          onSubmit={onDelete}
          onClose={onClose}
        >
          {() => <p>{how}</p>}
        </FormDialog>
      )}
    />
  );
}
