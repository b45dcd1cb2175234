import { mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openRoot, parseRoots } from "../../src/cli/roots.ts";
import { discover } from "../../src/discovery/discover.ts";
import type { BootEntry, FoundMenu } from "../../src/discovery/entry.ts";
import { defaultDiscoveryLimits } from "../../src/discovery/finder.ts";
import { ukiData } from "../fakes/uki-data.ts";
import { runAsRoot } from "./command.ts";

/*
 * systemd's `bootctl list` as the judge of menus of the Boot Loader Specification: entries, their order, titles, versions,
 * options, tries, and what boots by default.
 *
 * Where it is known to differ from systemd-boot, which Slipway follows, the comparison makes up for it: bootctl shows an
 * entry without a title with the suffix of its file, and a machine id in full where systemd-boot shows 8 digits. It regards
 * the case of file names in their order, which systemd-boot does not: no tree here has names that only case would order.
 */

type Files = Readonly<Record<string, string | Uint8Array>>;

interface Tree {
  readonly esp: Files;
  /** The extended boot loader partition; there is none where it is not said. */
  readonly xbootldr?: Files;
}

const kernel: Files = { vmlinuz: "kernel", "initrd.img": "initrd" };

const text = (...lines: readonly string[]): string => `${lines.join("\n")}\n`;

const debianId = "6a9857a393724b7a981ebb5b8495b9ea";

const trees: Readonly<Record<string, Tree>> = {
  "kernel-install on Debian": {
    esp: {
      ...kernel,
      "loader/loader.conf": text("timeout 3", `default ${debianId}-*`, "console-mode keep"),
      "loader/entries.srel": "type1\n",
      ...Object.fromEntries(
        ["6.1.0-9-amd64", "6.1.0-10-amd64", "6.12.0-1-amd64", "6.12.0-1-rt-amd64"].map((version) => [
          `loader/entries/${debianId}-${version}.conf`,
          text(
            "# Boot Loader Specification type#1 entry",
            "title      Debian GNU/Linux 12 (bookworm)",
            `version    ${version}`,
            `machine-id ${debianId}`,
            "sort-key   debian",
            "options    root=UUID=6d3376e4-fc93-4509-95ec-a21d68011da2 ro  quiet",
            "options    systemd.machine_id=6a9857a3",
            "linux      /vmlinuz",
            "initrd     /initrd.img",
          ),
        ]),
      ),
    },
  },
  "images only, counted": {
    esp: {
      "EFI/Linux/debian_12+3.efi": ukiData("debian"),
      "EFI/Linux/debian_11+0-3.efi": ukiData("debian"),
      "EFI/Linux/fedora_41+2-1.efi": ukiData("fedora"),
      "EFI/Linux/acme_7.2.efi": ukiData("board"),
      "loader/loader.conf": text("default fedora_*"),
    },
  },
  "texts and images of the same systems": {
    esp: {
      ...kernel,
      "EFI/Linux/debian.efi": ukiData("debian"),
      "EFI/Linux/fedora.efi": ukiData("fedora"),
      "loader/entries/debian.conf": text(
        "title Debian text",
        "sort-key debian",
        "version 12 (bookworm)",
        "linux /vmlinuz",
      ),
      "loader/entries/debian-13.conf": text("title Debian text", "sort-key debian", "version 13", "linux /vmlinuz"),
      "loader/entries/fedora-40.conf": text("title Fedora Linux 41", "sort-key fedora", "version 40", "linux /vmlinuz"),
      "loader/entries/plain.conf": text("title Plain", "linux /vmlinuz"),
    },
  },
  "no sort keys: names by version": {
    esp: {
      ...kernel,
      ...Object.fromEntries(
        ["arch-6.9", "arch-6.10", "arch", "arch-lts", "arch-6.10-fallback", "zz+1", "zz-1+3-2", "a_b", "ab"].map(
          (name) => [`loader/entries/${name}.conf`, text("linux /vmlinuz", "initrd /initrd.img", "options quiet")],
        ),
      ),
      "loader/loader.conf": text("default arch", "default ARCH-6.9.conf"),
    },
  },
  "titles that stand twice": {
    esp: {
      ...kernel,
      "loader/entries/a.conf": text(
        "title Same",
        "version 1",
        `machine-id 0123456789abcdef0123456789abcdef`,
        "linux /vmlinuz",
      ),
      "loader/entries/b.conf": text(
        "title Same",
        "version 1",
        `machine-id 1123456789abcdef0123456789abcdef`,
        "linux /vmlinuz",
      ),
      "loader/entries/c.conf": text("title Same", "version 2", "linux /vmlinuz"),
      "loader/entries/d.conf": text("title Other", "version 2", "linux /vmlinuz"),
      "loader/entries/e.conf": text("title Other", "linux /vmlinuz"),
      "EFI/Linux/x.efi": ukiData("debian"),
      "EFI/Linux/y.efi": ukiData("debian"),
    },
  },
  "an ESP and a boot loader partition": {
    esp: {
      ...kernel,
      "loader/loader.conf": text("default second*", "timeout menu-force"),
      "loader/entries/first.conf": text("title First", "sort-key m", "version 1", "linux /vmlinuz"),
      "EFI/Linux/fedora.efi": ukiData("fedora"),
    },
    xbootldr: {
      ...kernel,
      "loader/loader.conf": text("default first*"),
      "loader/entries/second.conf": text("title Second", "sort-key m", "version 2", "linux /vmlinuz"),
      "EFI/Linux/debian.efi": ukiData("debian"),
    },
  },
  "machine ids, sort keys and counters together": {
    esp: {
      ...kernel,
      "loader/entries/1.conf": text("sort-key b", "machine-id 22", "version 1", "linux /vmlinuz"),
      "loader/entries/2.conf": text("sort-key b", "machine-id 11", "version 1", "linux /vmlinuz"),
      "loader/entries/3.conf": text("sort-key b", "version 9", "linux /vmlinuz"),
      "loader/entries/4+0-1.conf": text("sort-key a", "version 9", "linux /vmlinuz"),
      "loader/entries/5+1.conf": text("sort-key B", "version 1~rc1", "linux /vmlinuz"),
      "loader/entries/6.conf": text("sort-key B", "version 1", "linux /vmlinuz"),
      "loader/entries/7+5-1.conf": text("linux /vmlinuz"),
      "loader/entries/8+0-9.conf": text("linux /vmlinuz"),
    },
  },
};

/** What is compared of an entry. */
interface Shown {
  /** The file. */
  readonly id: string;
  readonly title: string;
  readonly version: string | null;
  readonly options: string;
  readonly tries: { readonly left: number; readonly done: number } | null;
}

interface JudgeEntry {
  readonly id: string;
  readonly title?: string;
  readonly showTitle: string;
  readonly version?: string;
  readonly machineId?: string;
  readonly options?: string;
  readonly triesLeft?: number;
  readonly triesDone?: number;
}

/** Plain directories are no partitions: each is made one in memory, seen by this command alone. */
const script = `
set -e
mount -t tmpfs tmpfs "$1/esp.mount"
cp -r "$1/esp/." "$1/esp.mount"
if [ -d "$1/xbootldr" ]; then
  mount -t tmpfs tmpfs "$1/xbootldr.mount"
  cp -r "$1/xbootldr/." "$1/xbootldr.mount"
  set -- "$1" "$2" --boot-path="$1/xbootldr.mount"
fi
directory=$1 mode=$2
shift 2
exec env SYSTEMD_RELAX_ESP_CHECKS=1 SYSTEMD_RELAX_XBOOTLDR_CHECKS=1 SYSTEMD_COLORS=0 \\
  bootctl --no-pager --esp-path="$directory/esp.mount" "$@" --json="$mode" list
`;

function bootctl(directory: string, mode: "short" | "off"): Promise<string> {
  return runAsRoot("unshare", ["-m", "sh", "-c", script, "sh", directory, mode]);
}

async function judged(directory: string): Promise<{ entries: Shown[]; defaultId: string | null }> {
  const lines = (await bootctl(directory, "short")).split("\n").filter((line) => line.startsWith("{"));
  const entries = lines.map((line): JudgeEntry => JSON.parse(line));
  const blocks = (await bootctl(directory, "off")).split("\n\n");
  const chosen = blocks.find((block) => /^ *title: .*\(default\)/m.test(block));
  return {
    entries: entries.map((entry) => ({
      id: entry.id,
      title: titleOf(entry),
      version: entry.version ?? null,
      options: entry.options ?? "",
      tries: entry.triesLeft === undefined ? null : { left: entry.triesLeft, done: entry.triesDone ?? 0 },
    })),
    defaultId: /^ *id: (.*)$/m.exec(chosen ?? "")?.[1] ?? null,
  };
}

function titleOf({ title, showTitle, machineId }: JudgeEntry): string {
  const shown = machineId === undefined ? showTitle : showTitle.replace(`(${machineId})`, `(${machineId.slice(0, 8)})`);
  return title === undefined ? shown.replace(/\.conf/, "") : shown;
}

function ours(entry: BootEntry): Shown {
  const [, , name = ""] = entry.id.split(":");
  const suffix = entry.format === "uki" ? ".efi" : ".conf";
  const { version, options, tries } = entry;
  // What bootctl appends to a title that nothing else tells apart is its id, which has the suffix.
  const title = entry.title.replace(` (${name})`, ` (${name}${suffix})`);
  return { id: `${name}${suffix}`, title, version, options, tries };
}

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "slipway-bootctl-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

function writeTree(name: string, tree: Tree): string {
  const root = path.join(directory, name.replaceAll(/[^a-z]+/gi, "-"));
  for (const [volume, files] of Object.entries(tree)) {
    mkdirSync(path.join(root, `${volume}.mount`), { recursive: true });
    for (const [file, content] of Object.entries<string | Uint8Array>(files)) {
      mkdirSync(path.dirname(path.join(root, volume, file)), { recursive: true });
      writeFileSync(path.join(root, volume, file), content);
    }
  }
  return root;
}

async function found(root: string, tree: Tree): Promise<FoundMenu> {
  const specs = [
    `${root}/esp,name=vda1,disk=vda,part=1,table=gpt,parttype=c12a7328-f81f-11d2-ba4b-00a0c93ec93b`,
    ...(tree.xbootldr === undefined
      ? []
      : [`${root}/xbootldr,name=vda2,disk=vda,part=2,table=gpt,parttype=bc13c2ff-59e6-4262-a352-b275fd6f7172`]),
  ];
  const sources = parseRoots(specs).map((spec) => openRoot(spec, 10));
  try {
    const { menus, skipped } = await discover(sources, "x86_64", defaultDiscoveryLimits);
    expect(skipped).toEqual([]);
    const [menu, ...more] = menus;
    if (menu === undefined) throw new Error("a menu expected");
    expect(more).toEqual([]);
    return menu;
  } finally {
    await Promise.all(sources.map((source) => source.close()));
  }
}

describe("as systemd's bootctl lists it", () => {
  it.each(Object.entries(trees))("%s", async (name, tree) => {
    const root = writeTree(name, tree);
    const judge = await judged(root);
    const menu = await found(root, tree);
    expect(judge.entries.length).toBeGreaterThan(0);
    expect(menu.entries.map(ours)).toEqual(judge.entries);
    const chosen = menu.entries.find(({ id }) => id === menu.defaultId);
    expect(chosen === undefined ? null : ours(chosen).id).toBe(judge.defaultId);
  });
});
