import { quote } from "../format-error.ts";
import type { GrubPlace } from "./ast.ts";
import { type Inputs, noInputs, type Tainted } from "./inputs.ts";
import type { GrubLimits } from "./limits.ts";
import { LimitError } from "./problem.ts";

/** A variable's value with what shaped it. */
export interface VariableValue extends Tainted {
  /** Where it was set last; null: GRUB's own. */
  readonly place: GrubPlace | null;
}

interface Variable extends VariableValue {
  readonly exported: boolean;
}

/** Variables with a write hook in GRUB: `unset` empties them (kern/env.c, `grub_env_unset`). */
const hooked: ReadonlySet<string> = new Set(["root", "prefix", "pager", "color_normal", "color_highlight"]);

/** The variables of one context (grub-core/normal/context.c). A new context starts with the exported ones. */
export class Variables {
  readonly #limits: GrubLimits;
  readonly #values = new Map<string, Variable>();
  #characters = 0;

  constructor(limits: GrubLimits) {
    this.#limits = limits;
  }

  get(name: string): VariableValue | null {
    const variable = this.#values.get(name);
    return variable === undefined ? null : { text: variable.text, inputs: variable.inputs, place: variable.place };
  }

  text(name: string): string {
    return this.#values.get(name)?.text ?? "";
  }

  /** @throws {LimitError} the value or all values together are too long, or there are too many variables. */
  set(name: string, value: string, inputs: Inputs = noInputs, place: GrubPlace | null = null): void {
    const before = this.#values.get(name);
    // kern/main.c, `grub_env_write_root`: the parentheses of a device name are dropped.
    const text = name === "root" && value.startsWith("(") && value.endsWith(")") ? value.slice(1, -1) : value;
    if (text.length > this.#limits.valueCharactersMax) {
      throw new LimitError(
        `variable ${quote(name)}: ${text.length} characters, at most ${this.#limits.valueCharactersMax} are taken`,
      );
    }
    // `?` is GRUB's own and must not fail a command that has been run.
    if (before === undefined && name !== "?" && this.#values.size >= this.#limits.variablesMax) {
      throw new LimitError(`variable ${quote(name)}: at most ${this.#limits.variablesMax} variables are taken`);
    }
    const characters = this.#characters - (before?.text.length ?? -name.length) + text.length;
    if (characters > this.#limits.allValuesCharactersMax) {
      throw new LimitError(
        `variable ${quote(name)}: ${characters} characters in all variables, at most ${this.#limits.allValuesCharactersMax} are taken`,
      );
    }
    this.#characters = characters;
    this.#values.set(name, { text, inputs, place, exported: before?.exported ?? false });
  }

  unset(name: string): void {
    const before = this.#values.get(name);
    if (before === undefined) return;
    if (hooked.has(name)) {
      this.set(name, "");
      return;
    }
    this.#characters -= before.text.length + name.length;
    this.#values.delete(name);
  }

  export(name: string): void {
    const before = this.#values.get(name);
    if (before === undefined) this.set(name, "");
    this.#values.set(name, { text: "", inputs: noInputs, place: null, ...before, exported: true });
  }

  /** All of them, as they are now. */
  copy(): Variables {
    return this.#filtered(() => true);
  }

  /** What a new context starts with. */
  exported(): Variables {
    return this.#filtered((variable) => variable.exported);
  }

  #filtered(take: (variable: Variable) => boolean): Variables {
    const copy = new Variables(this.#limits);
    for (const [name, variable] of this.#values) {
      if (!take(variable)) continue;
      copy.#values.set(name, variable);
      copy.#characters += name.length + variable.text.length;
    }
    return copy;
  }
}
