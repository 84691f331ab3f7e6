/** An address without a page. */
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { text } from '../text/index.ts';

export function NotFoundPage(): ReactNode {
  return (
    <>
      <h1>{text.notFound.title}</h1>
      <p>{text.notFound.remedy}</p>
      <p>
        <Link to="/">{text.menu.overview}</Link>
      </p>
    </>
  );
}
