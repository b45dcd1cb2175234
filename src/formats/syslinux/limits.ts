/** Bounds on what configurations of the syslinux family may cost. */
export interface SyslinuxLimits {
  /** One configuration file, bytes. */
  readonly configBytesMax: number;
  /** All configuration files of one evaluation together, bytes. */
  readonly allConfigsBytesMax: number;
  /** Lines parsed in one evaluation; a file counts as often as it is included. */
  readonly allLinesMax: number;
  /** Bytes parsed in one evaluation; a file counts as often as it is included. */
  readonly parsedBytesMax: number;
  /** Files read as configuration in one evaluation, missing ones among them; each is read once. */
  readonly configReadsMax: number;
  /** Labels and sub-menus of one evaluation. */
  readonly entriesMax: number;
  /** `include` inside one another (the documentation's own bound). */
  readonly includeDepthMax: number;
  /** `menu begin` inside one another. */
  readonly menuDepthMax: number;
  /** Commands that lead to further commands (`cmd.c32`, `ifcpu64.c32`, `config`), one behind the other. */
  readonly commandDepthMax: number;
  /** Configurations that one evaluation follows (`config other.cfg`, `menu.c32 other.cfg`). */
  readonly menusMax: number;
  /** Files that one entry loads: initrds, modules, overlays. */
  readonly filesMax: number;
  /** Problems kept. */
  readonly messagesMax: number;
}

export const defaultSyslinuxLimits: SyslinuxLimits = {
  configBytesMax: 1 << 20,
  allConfigsBytesMax: 16 << 20,
  allLinesMax: 200_000,
  parsedBytesMax: 32 << 20,
  configReadsMax: 200,
  entriesMax: 1000,
  includeDepthMax: 16,
  menuDepthMax: 16,
  commandDepthMax: 16,
  menusMax: 50,
  filesMax: 100,
  messagesMax: 500,
};

/** Bytes of one line: syslinux reads into a buffer of 4096 with a NUL, and takes what is longer for several lines. */
export const syslinuxLineBytesMax = 4095;

/** Bytes of a command, kernel and options: syslinux refuses longer ones (`MAX_CMDLINE_LEN` with its NUL). */
export const syslinuxCommandBytesMax = 2047;
