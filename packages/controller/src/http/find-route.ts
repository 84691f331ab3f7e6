/** Which routes there are at a path, for an answer to a method that none of them takes. */
import type { Route } from './route.ts';

/** A path of OpenAPI as an expression: a variable stands for one part of the path. */
function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`);
}

/** The routes at a path, those without variables first: so they are found. */
export function routesAt(routes: readonly Route[], pathname: string): Route[] {
  const found = routes.filter(({ path }) => patternOf(path).test(pathname));
  return found.sort((a, b) => Number(b.path === pathname) - Number(a.path === pathname));
}

/** The methods at a path as the header Allow lists them; undefined: there is nothing. HEAD goes with GET. */
export function allowedAt(routes: readonly Route[], pathname: string): string | undefined {
  const methods = routesAt(routes, pathname).flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method]));
  return methods.length === 0 ? undefined : [...new Set(methods)].join(', ').toUpperCase();
}
