/** Bounds on what one configuration may cost; a script is a program and may be hostile. */
export interface GrubLimits {
  /** One configuration file, bytes. */
  readonly configBytesMax: number;
  /** All configuration files and environment blocks of one evaluation together, bytes: they are kept, to be verified. */
  readonly allConfigsBytesMax: number;
  /** Lines of all configuration files of one evaluation together: a line costs far more memory than its bytes. */
  readonly allLinesMax: number;
  /** Files read as configuration in one evaluation. */
  readonly configReadsMax: number;
  /** One environment block, bytes (GRUB's own has 1024). */
  readonly environmentBytesMax: number;
  /** Environment blocks read in one evaluation. */
  readonly environmentsMax: number;
  /** Work of everything before the menu: tokens, commands, words, and {@link lookupSteps} for a look at a disk. */
  readonly stepsMax: number;
  /** Work of one menu entry's commands. */
  readonly entryStepsMax: number;
  /** Work of all entries of a menu together. */
  readonly allEntriesStepsMax: number;
  /** Compound commands and blocks inside one another. */
  readonly nestingMax: number;
  /** Commands, functions and files being run inside one another. */
  readonly callDepthMax: number;
  /** `source`, `configfile`, `normal` inside one another. */
  readonly sourceDepthMax: number;
  /** Sub-menus inside one another. */
  readonly menuDepthMax: number;
  /** Entries and sub-menus of one evaluation. */
  readonly entriesMax: number;
  readonly variablesMax: number;
  /** Images that `loopback` has open at a time. */
  readonly imagesMax: number;
  /** Variables kept with an entry, for people. */
  readonly entryVariablesMax: number;
  /** Options of all kernels that one evaluation loads together, characters: they are kept with the entries. */
  readonly allOptionsCharactersMax: number;
  /** Modules of one multiboot kernel. */
  readonly modulesMax: number;
  /** Searches whose answer is remembered, to be asked first when they are made again. */
  readonly searchesMax: number;
  /** What hash commands read in one evaluation, lists of sums among it, bytes. */
  readonly hashedBytesMax: number;
  /** One variable's value, characters. */
  readonly valueCharactersMax: number;
  /** All values together, characters. */
  readonly allValuesCharactersMax: number;
  /** Words of one command after expansion. */
  readonly wordsMax: number;
  /** Characters of one command after expansion. */
  readonly commandCharactersMax: number;
  /** Problems and notes kept, each. */
  readonly messagesMax: number;
  /** Text of `echo` kept, characters. */
  readonly outputCharactersMax: number;
}

export const defaultGrubLimits: GrubLimits = {
  configBytesMax: 1 << 20,
  allConfigsBytesMax: 16 << 20,
  allLinesMax: 200_000,
  configReadsMax: 200,
  environmentBytesMax: 64 << 10,
  environmentsMax: 64,
  stepsMax: 1_000_000,
  entryStepsMax: 100_000,
  allEntriesStepsMax: 2_000_000,
  nestingMax: 100,
  callDepthMax: 200,
  sourceDepthMax: 16,
  menuDepthMax: 16,
  entriesMax: 1000,
  variablesMax: 1000,
  imagesMax: 32,
  allOptionsCharactersMax: 4 << 20,
  modulesMax: 256,
  searchesMax: 256,
  entryVariablesMax: 64,
  hashedBytesMax: 64 << 20,
  valueCharactersMax: 32 << 10,
  allValuesCharactersMax: 1 << 20,
  wordsMax: 4096,
  commandCharactersMax: 128 << 10,
  messagesMax: 500,
  outputCharactersMax: 64 << 10,
};

/** Steps that one look at a disk (a file's existence, a directory's names) costs: it is dearer than a command. */
export const lookupSteps = 50;

/** Characters of a command's words that cost one step: long values are dear to copy. */
export const charactersPerStep = 32;
