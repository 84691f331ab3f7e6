/** Finds the routes at a path, to answer a method that none of them accepts. */
import type { Route } from './route.ts';

/** An OpenAPI path as a regular expression. A variable stands for one part of the path. */
function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`);
}

/** The routes at a path. Routes without variables come first, because they have precedence. */
export function routesAt(routes: readonly Route[], pathname: string): Route[] {
  const found = routes.filter(({ path }) => patternOf(path).test(pathname));
  return found.sort((a, b) => Number(b.path === pathname) - Number(a.path === pathname));
}

/** The methods at a path for the header Allow. HEAD is added to GET. Undefined: no route. */
export function allowedAt(routes: readonly Route[], pathname: string): string | undefined {
  const methods = routesAt(routes, pathname).flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method]));
  return methods.length === 0 ? undefined : [...new Set(methods)].join(', ').toUpperCase();
}
