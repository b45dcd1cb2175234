import type { GrubFile } from "./ast.ts";

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

export function joinInputs(...all: readonly Inputs[]): Inputs {
  let joined = noInputs;
  for (const inputs of all) {
    if (inputs.size === 0 || inputs === joined) continue;
    joined = joined.size === 0 ? inputs : new Set([...joined, ...inputs]);
  }
  return joined;
}
