/** Bounds on what one run of a script may cost; a script is a program and may be hostile. */
export interface IpxeLimits {
  /** One script, bytes. */
  readonly scriptBytesMax: number;
  /** All scripts of one run together, bytes: they are kept, to be verified. */
  readonly allScriptsBytesMax: number;
  /** Scripts started in one run. */
  readonly scriptRunsMax: number;
  /** Scripts inside one another. */
  readonly scriptDepthMax: number;
  /** Work of one run: commands, words, expansions, and each 32 bytes of them. */
  readonly stepsMax: number;
  /** Images fetched in one run. */
  readonly fetchesMax: number;
  /** Images kept at one time. */
  readonly imagesMax: number;
  /** Settings stored. */
  readonly settingsMax: number;
  /** One setting's value, bytes. */
  readonly valueBytesMax: number;
  /** All values together, bytes. */
  readonly allValuesBytesMax: number;
  /** Settings blocks that a script makes, and the parts of a block's name. */
  readonly blocksMax: number;
  /** Words of one line. */
  readonly wordsMax: number;
  /** One command after expansion, bytes. */
  readonly commandBytesMax: number;
  /** Menus at one time. */
  readonly menusMax: number;
  /** Items of one menu. */
  readonly menuItemsMax: number;
  /** Menus that one run chooses from. */
  readonly choicesMax: number;
  /** Failures of commands kept. */
  readonly messagesMax: number;
  /** Text of `echo` and `show` kept, bytes. */
  readonly outputBytesMax: number;
}

export const defaultIpxeLimits: IpxeLimits = {
  scriptBytesMax: 1 << 20,
  allScriptsBytesMax: 4 << 20,
  scriptRunsMax: 200,
  scriptDepthMax: 24,
  stepsMax: 200_000,
  fetchesMax: 500,
  imagesMax: 200,
  settingsMax: 1000,
  valueBytesMax: 32 << 10,
  allValuesBytesMax: 1 << 20,
  blocksMax: 100,
  wordsMax: 4096,
  commandBytesMax: 64 << 10,
  menusMax: 100,
  menuItemsMax: 1000,
  choicesMax: 100,
  messagesMax: 200,
  outputBytesMax: 64 << 10,
};

/** Bytes that cost one step: long words are dear to copy. */
export const bytesPerStep = 32;

/** Stored settings that cost one step when one is looked for. */
export const settingsPerStep = 32;
