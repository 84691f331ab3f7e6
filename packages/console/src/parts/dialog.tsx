/**
 * Dialogs that change something: what the controller refuses stands at its field, and the dialog
 * stays open.
 */
import { Button, Modal } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useRef, useState } from 'react';
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

/** A dialog: its title, what closes it, and what is in it. */
export function Dialog(props: { title: string; size?: string; onClose(): void; children: ReactNode }): ReactNode {
  const { title, size = 'md', onClose, children } = props;
  return (
    <Modal.Root opened onClose={onClose} size={size}>
      <Modal.Overlay />
      <Modal.Content>
        {/* No <header>: the page has one already. */}
        <div className="bar dialog-head">
          <Modal.Title>{title}</Modal.Title>
          <span className="grow" />
          <Modal.CloseButton aria-label={text.common.cancel} />
        </div>
        <Modal.Body>{children}</Modal.Body>
      </Modal.Content>
    </Modal.Root>
  );
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
    <Dialog title={title} onClose={onClose}>
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
    </Dialog>
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
  const opener = useRef<HTMLButtonElement>(null);
  const close = () => {
    setOpen(false);
    // The dialog is gone at once, and with it what had the focus.
    requestAnimationFrame(() => opener.current?.focus());
  };
  return (
    <>
      <Button
        ref={opener}
        variant={variant}
        {...(color && { color })}
        aria-haspopup="dialog"
        onClick={() => setOpen(true)}
      >
        {label}
      </Button>
      {isOpen && dialog(close)}
    </>
  );
}

interface ConfirmProps {
  title: string;
  /** What happens. */
  how: string;
}

/** Asks before something is done that ends what others may need. */
export function ConfirmButton(props: ConfirmProps & { label: string; onConfirm(): Promise<unknown> }): ReactNode {
  const { label, title, how, onConfirm } = props;
  return (
    <DialogButton
      label={label}
      color="red"
      dialog={(onClose) => (
        <FormDialog title={title} submit={label} color="red" canSubmit onSubmit={onConfirm} onClose={onClose}>
          {() => <p>{how}</p>}
        </FormDialog>
      )}
    />
  );
}

/** Asks before something is deleted. */
export function DeleteButton({ onDelete, ...props }: ConfirmProps & { onDelete(): Promise<unknown> }): ReactNode {
  return <ConfirmButton {...props} label={text.common.delete} onConfirm={onDelete} />;
}
