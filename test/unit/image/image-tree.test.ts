import { describe, expect, it } from "vitest";
import { ImageError } from "../../../src/image/image-error.ts";
import { ImageTree } from "../../../src/image/image-tree.ts";

const nothing = { kind: "bytes", bytes: new Uint8Array() } as const;

function tree(fill: (tree: ImageTree) => void): string[] {
  const made = new ImageTree();
  fill(made);
  return made.nodes().map((node) => `${node.type} ${node.path}`);
}

function expectRefused(fill: (tree: ImageTree) => void, text: string): void {
  expect(() => tree(fill)).toThrow(new ImageError(text));
}

describe("an image's tree", () => {
  it("makes directories on the way and sorts by path", () => {
    expect(
      tree((t) => {
        t.file("/b/x/file", 0o644, nothing, "include");
        t.directory("/a");
        t.file("/b-file", 0o644, nothing, "include");
      }),
    ).toEqual(["directory /a", "directory /b", "file /b-file", "directory /b/x", "file /b/x/file"]);
  });
  it("puts files behind links", () => {
    expect(
      tree((t) => {
        t.symlink("/lib", "usr/lib");
        t.symlink("/usr/lib/self", "/lib/../lib/there");
        t.file("/lib/self/file", 0o644, nothing, "include");
      }),
    ).toEqual([
      "symlink /lib",
      "directory /usr",
      "directory /usr/lib",
      "symlink /usr/lib/self",
      "directory /usr/lib/there",
      "file /usr/lib/there/file",
    ]);
  });
  it("takes the same directory and the same link twice", () => {
    expect(
      tree((t) => {
        for (let i = 0; i < 2; i++) t.directory("/a/");
        for (let i = 0; i < 2; i++) t.symlink("/l", "a");
        t.directory("/l");
      }),
    ).toEqual(["directory /a", "symlink /l"]);
  });
  it("refuses what does not fit", () => {
    const file = (t: ImageTree, path: string): void => t.file(path, 0o644, nothing, "include");
    const unused = "an unused path expected, there is a";
    expectRefused((t) => [file(t, "/a"), file(t, "/a")], `put "/a" into the image: ${unused} file already`);
    expectRefused((t) => [t.directory("/a"), file(t, "/a")], `put "/a" into the image: ${unused} directory already`);
    expectRefused((t) => [file(t, "/a"), t.directory("/a")], `put "/a" into the image: ${unused} file already`);
    expectRefused(
      (t) => [t.symlink("/a", "b"), t.symlink("/a", "c")],
      `put "/a" into the image: ${unused} symlink already`,
    );
    expectRefused(
      (t) => [file(t, "/a"), file(t, "/a/b")],
      `put "/a" into the image: a directory expected, there is a file already`,
    );
    expectRefused((t) => file(t, "/"), `put "/" into the image: ${unused} directory already`);
    expectRefused(
      (t) => [t.symlink("/a", "b"), t.symlink("/b", "a"), file(t, "/a/x")],
      'follow "/a" in the image: more than 40 links',
    );
    for (const path of ["a", "/a/../b", "/./a"]) {
      expectRefused(
        (t) => file(t, path),
        `put "${path}" into the image: an absolute path without ".", ".." and NUL expected`,
      );
    }
  });
});
