import type { PathChange, RouteMatch } from '../facts.ts';
import { withoutEnd } from '../routes/order.ts';
import { quoted } from './route-match.ts';

/** How Envoy writes another path; the query stays. */
export type EnvoyPathChange =
  | { readonly prefixRewrite: string }
  | { readonly regexRewrite: { readonly pattern: { readonly regex: string }; readonly substitution: string } }
  | undefined;

/** `match`: of the route, whose prefix is what is replaced. */
export function pathChange(change: PathChange | undefined, match: RouteMatch): EnvoyPathChange {
  if (change === undefined) return undefined;
  if (change.type === 'ReplaceFullPath') return substitute('^.+$', change.value);
  const prefix = match.path?.type === 'PathPrefix' ? withoutEnd(match.path.value) : '';
  const value = withoutEnd(change.value);
  // Of "/" every path has a slash more than the prefix says.
  if (prefix === '') return value === '' ? undefined : { prefixRewrite: `${value}/` };
  // "/a/b" is "/b", and "/a" is "/".
  return value === '' ? substitute(`^${quoted(prefix)}/*`, '/') : { prefixRewrite: value };
}

function substitute(regex: string, text: string): EnvoyPathChange {
  return { regexRewrite: { pattern: { regex }, substitution: text.replaceAll('\\', '\\\\') } };
}
