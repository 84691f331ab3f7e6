/** What the lists of things that operators name have in common: the name, and what can be done to each. */
import { TextInput } from '@mantine/core';
import type { ReactNode } from 'react';
import { text } from '../text/index.ts';
import { DeleteButton, DialogButton, refusalOf } from './dialog.tsx';
import type { Column } from './table.tsx';

/** The name of something new, with the rule of names and what the controller refuses of it. */
export function NameField(props: {
  label: string;
  value: string;
  error: Error | null;
  onChange(name: string): void;
}): ReactNode {
  const { label, value, error, onChange } = props;
  return (
    <TextInput
      label={label}
      description={text.form.nameHow}
      value={value}
      onChange={({ currentTarget }) => onChange(currentTarget.value)}
      error={refusalOf(error, 'name')}
      data-autofocus
    />
  );
}

/** A column with the buttons that change and delete a row. */
export function actionsColumn<T extends { name: string }>(props: {
  edit(row: T, close: () => void): ReactNode;
  deleteTitle(name: string): string;
  deleteHow: string;
  onDelete(name: string): Promise<unknown>;
}): Column<T> {
  const { edit, deleteTitle, deleteHow, onDelete } = props;
  return {
    key: 'actions',
    header: text.table.actions,
    width: '170px',
    align: 'end',
    cell: (row) => (
      <>
        <DialogButton label={text.common.edit} dialog={(close) => edit(row, close)} />{' '}
        <DeleteButton title={deleteTitle(row.name)} how={deleteHow} onDelete={() => onDelete(row.name)} />
      </>
    ),
  };
}
