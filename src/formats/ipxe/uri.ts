import { uriUnescaped } from "./setting-types.ts";

/** A URI in its parts (core/uri.c), decoded; byte text. Null: the part is not there. */
export interface IpxeUri {
  readonly scheme: string | null;
  /** What stands behind the scheme where that is no path: `file:name`. */
  readonly opaque: string | null;
  readonly user: string | null;
  readonly password: string | null;
  readonly host: string | null;
  readonly port: string | null;
  readonly path: string | null;
  readonly query: string | null;
  readonly fragment: string | null;
  /** Name of the list of form parameters (`##params`); empty for the one without a name. */
  readonly params: string | null;
}

/** A URI that says nothing. */
export const noUri: IpxeUri = {
  scheme: null,
  opaque: null,
  user: null,
  password: null,
  host: null,
  port: null,
  path: null,
  query: null,
  fragment: null,
  params: null,
};

/** Cuts at the first separator; the second half is null where there is none. */
function cut(text: string, separator: string): readonly [string, string | null] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, null] : [text.slice(0, at), text.slice(at + separator.length)];
}

/** Every text is a URI. */
export function parseUri(text: string): IpxeUri {
  const [beforeParams, params] = cut(text, "##params");
  const [beforeFragment, fragment] = cut(beforeParams, "#");
  const [first, behind] = cut(beforeFragment, ":");
  const uri = { ...noUri, params: params === null ? null : params.slice(1), fragment: decode(fragment) };
  if (behind !== null && !behind.startsWith("/")) return { ...uri, scheme: decode(first), opaque: decode(behind) };
  const scheme = behind === null ? null : decode(first);
  const [path, query] = cut(behind ?? first, "?");
  const whole = { ...uri, scheme, query: decode(query) };
  if (path === "") return whole;
  if (scheme === null || !path.startsWith("//")) return { ...whole, path: decode(path) };
  const slash = path.indexOf("/", 2);
  const authority = slash === -1 ? path.slice(2) : path.slice(2, slash);
  return { ...whole, ...parseAuthority(authority), path: slash === -1 ? null : decode(path.slice(slash)) };
}

function parseAuthority(authority: string): Pick<IpxeUri, "user" | "password" | "host" | "port"> {
  const [first, behind] = cut(authority, "@");
  const [user, password] = behind === null ? [null, null] : cut(first, ":");
  const place = behind ?? first;
  const colon = place.endsWith("]") ? -1 : place.lastIndexOf(":");
  return {
    user: decode(user),
    password: decode(password),
    host: decode(colon === -1 ? place : place.slice(0, colon)),
    port: colon === -1 ? null : decode(place.slice(colon + 1)),
  };
}

function decode(text: string | null): string | null {
  return text === null ? null : uriUnescaped(text);
}

/** `dirname`: the path without its last part. */
function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  if (slash === -1) return ".";
  return slash === 0 ? "/" : path.slice(0, slash);
}

/** `resolve_path`: leading `./` and `../` are resolved, others stay. */
function resolvePath(base: string, relative: string): string {
  if (relative.startsWith("/")) return relative;
  let directory = directoryOf(base);
  let left = relative;
  for (;;) {
    const dots = /^(\.\.?)(?:\/|$)/.exec(left);
    if (dots === null) break;
    if (dots[1] === "..") directory = directoryOf(directory);
    left = left.slice(dots[0].length);
  }
  return `${directory}${directory.endsWith("/") ? "" : "/"}${left}`;
}

/** `resolve_uri`: what a URI means where another one is the place that it is written at. */
export function resolveUri(base: IpxeUri | null, uri: IpxeUri): IpxeUri {
  if (uri.scheme !== null || base === null) return uri;
  const { path, query, fragment, params } = uri;
  // A file that was named without a path is in the directory of the loader: so are its neighbours.
  const from = { ...base, opaque: null, path: base.path ?? (base.opaque === null ? null : `./${base.opaque}`) };
  if (path !== null) {
    const resolved = resolvePath(from.path ?? "/", path);
    return { ...from, path: resolved.replace(/^\.\//, ""), query, fragment, params };
  }
  if (query !== null) return { ...base, query, fragment, params };
  if (fragment !== null) return { ...base, fragment, params };
  return params === null ? base : { ...base, params };
}

const escapedIn: Readonly<Record<string, RegExp>> = {
  opaque: /[^\x21-\x7e]|[%#]/g,
  host: /[^\x21-\x7e]|[%/#@?]/g,
  path: /[^\x21-\x7e]|[%#:@?]/g,
  query: /[^\x21-\x7e]|[%#:@?]/g,
  other: /[^\x21-\x7e]|[%/#:@?]/g,
};

function escaped(text: string, part: string): string {
  return text.replace(
    escapedIn[part] ?? /%/g,
    (character) => `%${character.charCodeAt(0).toString(16).padStart(2, "0").toUpperCase()}`,
  );
}

/** A URI as text (`format_uri`), its password left out. */
export function formatUri(uri: IpxeUri): string {
  const { scheme, opaque, user, password, host, port, path, query, fragment } = uri;
  return [
    scheme === null ? "" : `${escaped(scheme, "other")}:${host === null ? "" : "//"}`,
    opaque === null ? "" : escaped(opaque, "opaque"),
    user === null ? "" : `${escaped(user, "other")}${password === null ? "" : ":***"}@`,
    host === null ? "" : escaped(host, "host"),
    port === null ? "" : `:${escaped(port, "other")}`,
    path === null ? "" : escaped(path, "path"),
    query === null ? "" : `?${escaped(query, "query")}`,
    fragment === null ? "" : `#${escaped(fragment, "other")}`,
  ].join("");
}

/** `basename`: the last part of the path, which an image is called; null where there is no path. */
export function uriName({ path, opaque }: IpxeUri): string | null {
  const text = path ?? opaque;
  return text === null ? null : text.slice(text.lastIndexOf("/") + 1);
}
