import { quote } from "../formats/format-error.ts";
import { ImageError } from "./image-error.ts";

/** Links followed for one path inside the image. */
const linksMax = 40;

/** Where a file's bytes come from when its turn comes to be written. */
export type Content =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** A file of the building machine, copied piece by piece. */
  | { readonly kind: "file"; readonly source: string }
  /** Made when it is needed, and forgotten after it has been written. */
  | { readonly kind: "made"; make(): Promise<Uint8Array> };

/** What a file is there for; sizes are reported by part. */
export type ImagePart = "executable" | "library" | "module" | "configuration" | "include";

/** Paths are absolute in the image, without links on the way. */
export type ImageNode =
  | { readonly type: "directory"; readonly path: string; readonly permissions: number }
  | {
      readonly type: "file";
      readonly path: string;
      readonly permissions: number;
      readonly content: Content;
      readonly part: ImagePart;
    }
  | { readonly type: "symlink"; readonly path: string; readonly target: string }
  | {
      readonly type: "character";
      readonly path: string;
      readonly permissions: number;
      readonly major: number;
      readonly minor: number;
    };

/**
 * The files of an image by path. A path whose directory is a link in the image ends up behind the link, as it will when
 * the system runs; directories on the way are made. Two things at one path are refused, except equal directories and links.
 */
export class ImageTree {
  readonly #nodes = new Map<string, ImageNode>();

  directory(path: string, permissions = 0o755): void {
    const place = this.#followAll(path);
    const existing = this.#nodes.get(place);
    if (place === "/" || existing?.type === "directory") return;
    if (existing !== undefined) this.#refuse(place, existing);
    this.#makeParents(place);
    this.#nodes.set(place, { type: "directory", path: place, permissions });
  }

  file(path: string, permissions: number, content: Content, part: ImagePart): void {
    const place = this.#place(path);
    this.#nodes.set(place, { type: "file", path: place, permissions, content, part });
  }

  device(path: string, permissions: number, major: number, minor: number): void {
    const place = this.#place(path);
    this.#nodes.set(place, { type: "character", path: place, permissions, major, minor });
  }

  symlink(path: string, target: string): void {
    const existing = this.#nodes.get(this.#followParents(path));
    if (existing?.type === "symlink" && existing.target === target) return;
    const place = this.#place(path);
    this.#nodes.set(place, { type: "symlink", path: place, target });
  }

  /** Whether something is at that path; a link is not followed. */
  has(path: string): boolean {
    return this.#nodes.has(this.#followParents(path));
  }

  /** The path behind the links of the image. */
  realPath(path: string): string {
    return this.#followAll(path);
  }

  /** Sorted by path, so that directories come before what they hold and the order depends on nothing else. */
  nodes(): readonly ImageNode[] {
    return [...this.#nodes.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  #place(path: string): string {
    const place = this.#followParents(path);
    const existing = this.#nodes.get(place);
    if (place === "/" || existing !== undefined) this.#refuse(place, existing);
    this.#makeParents(place);
    return place;
  }

  #makeParents(place: string): void {
    const parts = place.split("/").slice(1, -1);
    for (let count = 1; count <= parts.length; count++) {
      const parent = `/${parts.slice(0, count).join("/")}`;
      const existing = this.#nodes.get(parent);
      if (existing === undefined) this.#nodes.set(parent, { type: "directory", path: parent, permissions: 0o755 });
      else if (existing.type !== "directory") this.#refuse(parent, existing, "a directory");
    }
  }

  #refuse(place: string, existing: ImageNode | undefined, expected = "an unused path"): never {
    throw new ImageError(
      `put ${quote(place)} into the image: ${expected} expected, there is a ${existing?.type ?? "directory"} already`,
    );
  }

  #followParents(path: string): string {
    const parts = pathParts(path);
    const name = parts.pop();
    if (name === undefined) return "/";
    const parent = this.#followAll(`/${parts.join("/")}`);
    return parent === "/" ? `/${name}` : `${parent}/${name}`;
  }

  #followAll(path: string): string {
    const done: string[] = [];
    let rest = pathParts(path);
    let links = 0;
    for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
      if (part === "..") {
        done.pop();
        continue;
      }
      const node = this.#nodes.get(`/${[...done, part].join("/")}`);
      if (node?.type !== "symlink") {
        done.push(part);
        continue;
      }
      links++;
      if (links > linksMax) throw new ImageError(`follow ${quote(path)} in the image: more than ${linksMax} links`);
      if (node.target.startsWith("/")) done.length = 0;
      rest = [...linkParts(node.target), ...rest];
    }
    return `/${done.join("/")}`;
  }
}

/** Parts of a path that goes into the image: absolute, nothing that leads elsewhere. */
function pathParts(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "");
  if (!path.startsWith("/") || path.includes("\0") || parts.some((part) => part === "." || part === "..")) {
    throw new ImageError(`put ${quote(path)} into the image: an absolute path without ".", ".." and NUL expected`);
  }
  return parts;
}

function linkParts(target: string): string[] {
  return target.split("/").filter((part) => part !== "" && part !== ".");
}
