import { type KernelKind, kernelKinds } from "../../formats/kernel-kind.ts";
import type { KernelFile } from "../../handoff/kernel-file.ts";
import type { OptionId } from "./option-table.ts";
import type { GivenOption, Settings } from "./settings.ts";

const otherKinds: readonly KernelKind[] = ["arm64-image", "riscv-image", "loongarch-image", "fit", "android-boot"];

/** The types of `-t`, as kexec-tools names them on x86_64. */
export const kernelTypes: readonly KernelKind[] = kernelKinds.filter((kind) => !otherKinds.includes(kind));

/** A kernel that is not of the type that `-t` asks for. */
export class KernelTypeError extends Error {
  override readonly name = "KernelTypeError";
}

/**
 * The kernel as what `-t` says it is, when the file is of several types: every bzImage64 is a bzImage too, and is then
 * entered in 32-bit mode. Throws {@link KernelTypeError}, in kexec-tools' words.
 */
export function asType(kernel: KernelFile, { type, call }: Settings): KernelFile {
  if (type === null || type === kernel.kind) return kernel;
  const wanted = kernelTypes.find((name) => name === type);
  if (wanted === undefined) {
    throw new KernelTypeError(`Unsupported kernel type ${type}\nOne of ${kernelTypes.join(", ")} expected`);
  }
  const problem = kernel.problemWith(wanted);
  if (problem !== null || kernel.enclosed !== null) {
    const reason = problem === null ? "" : `\nIt is no ${type}: ${problem}`;
    throw new KernelTypeError(`Wrong file type ${type}, file matches type ${kernel.kind}${reason}`);
  }
  // kexec_file_load looks at the file itself; the type is checked, no more.
  return call === "file" ? kernel : { ...kernel, kind: wanted, imageKind: wanted };
}

const linuxOptions: readonly OptionId[] = ["append", "reuse-cmdline", "initrd", "dtb", "devicetree"];
const bzImageOptions: readonly OptionId[] = [...linuxOptions, "real-mode", "entry-32bit"];
const elfOptions: readonly OptionId[] = [...linuxOptions, "args-elf", "args-linux", "args-none"];
const multibootOptions: readonly OptionId[] = ["append", "reuse-cmdline", "module"];

/** The options that the loader of each type reads. */
const optionsOf: Readonly<Record<KernelKind, readonly OptionId[]>> = {
  "multiboot2-x86": multibootOptions,
  "elf-x86_64": elfOptions,
  "multiboot-x86": multibootOptions,
  "elf-x86": elfOptions,
  bzImage64: bzImageOptions,
  bzImage: bzImageOptions,
  "beoboot-x86": bzImageOptions,
  "nbi-x86": [],
  uki: bzImageOptions,
  "arm64-image": linuxOptions,
  "riscv-image": linuxOptions,
  "loongarch-image": linuxOptions,
  fit: bzImageOptions,
  "android-boot": bzImageOptions,
};

/** The settings without what the loader of this kernel's type does not read, and the options that were left out. */
export function settingsFor(
  kind: KernelKind,
  settings: Settings,
): { readonly settings: Settings; readonly ignored: readonly GivenOption[] } {
  const read = optionsOf[kind];
  const takes = (id: OptionId): boolean => read.includes(id);
  return {
    ignored: settings.loaderOptions.filter(({ id }) => !takes(id)),
    settings: {
      ...settings,
      append: takes("append") ? settings.append : null,
      reuseCommandLine: takes("reuse-cmdline") && settings.reuseCommandLine,
      initrds: takes("initrd") ? settings.initrds : [],
      devicetree: takes("dtb") ? settings.devicetree : null,
      modules: takes("module") ? settings.modules : [],
      realMode: takes("real-mode") && settings.realMode,
      entry32: takes("entry-32bit") && settings.entry32,
      elfArguments: takes("args-linux") ? (settings.elfArguments ?? elfDefault(kind, settings)) : "linux",
    },
  };
}

/**
 * kexec-tools hands ELF boot notes to every ELF file. No 64-bit kernel is known that reads them, and none that reads them
 * takes an initrd; the others are Linux.
 */
function elfDefault(kind: KernelKind, { initrds, target }: Settings): "elf" | "linux" {
  return kind === "elf-x86" && initrds.length === 0 && target !== "crash" ? "elf" : "linux";
}
