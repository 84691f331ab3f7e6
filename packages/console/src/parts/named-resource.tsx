/** What the lists of things that operators name have in common: the name, and what can be done to each. */
import { TextInput } from '@mantine/core';
import type { Right } from '@mirrorplane/contract';
import type { ReactNode } from 'react';
import type { About } from '../data/rights.ts';
import { text } from '../text/index.ts';
import { Allowed } from './allowed.tsx';
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
  /** The right that both need, and for what. */
  right: Right;
  aboutOf(row: T): About;
  edit(row: T, close: () => void): ReactNode;
  deleteTitle(name: string): string;
  deleteHow: string;
  onDelete(name: string): Promise<unknown>;
}): Column<T> {
  const { right, aboutOf, edit, deleteTitle, deleteHow, onDelete } = props;
  return {
    key: 'actions',
    header: text.table.actions,
    width: '170px',
    align: 'end',
    cell: (row) => (
      <>
        <Allowed right={right} about={aboutOf(row)} label={text.common.edit}>
          <DialogButton label={text.common.edit} dialog={(close) => edit(row, close)} />
        </Allowed>{' '}
        <Allowed right={right} about={aboutOf(row)} label={text.common.delete}>
          <DeleteButton title={deleteTitle(row.name)} how={deleteHow} onDelete={() => onDelete(row.name)} />
        </Allowed>
      </>
    ),
  };
}
