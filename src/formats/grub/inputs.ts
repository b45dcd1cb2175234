import { fileKey, type GrubFile } from "./ast.ts";

/** A variable whose value came from an environment block: unsigned, so an attacker may have chosen it. */
export interface EnvironmentInput {
  readonly variable: string;
  readonly file: GrubFile;
}

/** What a value was made from. One object stands for one variable of one file throughout an evaluation. */
export type Inputs = ReadonlySet<EnvironmentInput>;

export const noInputs: Inputs = new Set();

/** A text and the unsigned inputs that shaped it. */
export interface Tainted {
  readonly text: string;
  readonly inputs: Inputs;
}

export function untainted(text: string): Tainted {
  return { text, inputs: noInputs };
}

/** Inputs that are kept of one value; where there are more, one of each file stands for them. */
export const valueInputsMax = 64;

export function joinInputs(...all: readonly Inputs[]): Inputs {
  let joined = noInputs;
  let own: Set<EnvironmentInput> | null = null;
  for (const inputs of all) {
    if (inputs === joined) continue;
    if (joined.size === 0) {
      joined = inputs;
      continue;
    }
    for (const input of inputs) {
      if (joined.has(input)) continue;
      own ??= new Set(joined);
      joined = own.add(input);
    }
  }
  return joined.size > valueInputsMax ? oneOfEachFile(joined) : joined;
}

/** A value is as good as the files are that shaped it: which of their variables did is for people. */
function oneOfEachFile(inputs: Inputs): Inputs {
  const kept = new Map<string, EnvironmentInput>();
  for (const input of inputs) {
    const key = fileKey(input.file);
    if (!kept.has(key)) kept.set(key, input);
  }
  return new Set(kept.values());
}
