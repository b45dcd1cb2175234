/** The machine's architecture in the words of `uname -m`. */
export function machineArchitecture(): string {
  const names: Readonly<Record<string, string>> = { x64: "x86_64", arm64: "aarch64", riscv64: "riscv64" };
  return names[process.arch] ?? process.arch;
}
