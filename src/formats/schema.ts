import { FormatError, quote } from "./format-error.ts";

/** One setting of a configuration file: its type, default, bounds and the sentence that documents it. */
export interface Setting<T> {
  readonly kind: "setting";
  readonly default: T;
  readonly doc: string;
  /** Whether the kernel command line may override it. */
  readonly overridable: boolean;
  /** For the documentation: `integer, 0 to 3600 (seconds)`. */
  readonly type: string;
  /** JSON Schema (draft 2020-12) of the value. */
  readonly schema: Readonly<Record<string, unknown>>;
  check(value: unknown): value is T;
  /** From a word of the kernel command line; undefined when it cannot be read. */
  fromText(text: string): unknown;
}

export interface Section<S extends SectionShape = SectionShape> {
  readonly kind: "section";
  readonly doc: string;
  readonly shape: S;
}

/** Any number of sections of one shape, as an array. */
export interface List<S extends SectionShape = SectionShape> {
  readonly kind: "list";
  readonly doc: string;
  readonly itemsMax: number;
  readonly item: Section<S>;
}

export interface SectionShape {
  readonly [name: string]: Setting<unknown> | Section | List;
}

export type Infer<N> =
  N extends Setting<infer T>
    ? T
    : N extends Section<infer S>
      ? { readonly [K in keyof S]: Infer<S[K]> }
      : N extends List<infer S>
        ? readonly { readonly [K in keyof S]: Infer<S[K]> }[]
        : never;

interface Described<T> {
  readonly default: T;
  readonly doc: string;
  readonly overridable?: boolean;
}

/** What a setting of any type has. */
function described<T>(options: Described<T>): Pick<Setting<T>, "kind" | "default" | "doc" | "overridable"> {
  return {
    kind: "setting",
    default: options.default,
    doc: options.doc,
    overridable: options.overridable ?? false,
  };
}

export function integer(options: Described<number> & { min: number; max: number; unit: string }): Setting<number> {
  const { min, max, unit } = options;
  return {
    ...described(options),
    type: `whole number of ${unit}, ${min} to ${max}`,
    schema: { type: "integer", minimum: min, maximum: max },
    check: (value): value is number => Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max,
    fromText: (text) => (/^\d{1,15}$/.test(text) ? Number(text) : undefined),
  };
}

export function flag(options: Described<boolean>): Setting<boolean> {
  return {
    ...described(options),
    type: "true or false",
    schema: { type: "boolean" },
    check: (value): value is boolean => typeof value === "boolean",
    fromText: (text) => (text === "true" || text === "" ? true : text === "false" ? false : undefined),
  };
}

export function choice<const C extends string>(options: Described<C> & { choices: readonly C[] }): Setting<C> {
  const { choices } = options;
  return {
    ...described(options),
    type: `one of ${choices.map((c) => `"${c}"`).join(", ")}`,
    schema: { enum: [...choices] },
    check: (value): value is C => choices.some((c) => c === value),
    fromText: (text) => text,
  };
}

/** Text, or null for "not set". */
export function optionalText(options: Described<string | null> & { charactersMax: number }): Setting<string | null> {
  const { charactersMax } = options;
  return {
    ...described(options),
    type: `text of at most ${charactersMax} characters, or null`,
    schema: { type: ["string", "null"], maxLength: charactersMax },
    check: (value): value is string | null =>
      value === null || (typeof value === "string" && value.length <= charactersMax),
    // No text is no setting.
    fromText: (text) => (text === "" ? null : text),
  };
}

/** A number, or null for "not set". */
export function optionalInteger(
  options: Described<number | null> & { min: number; max: number; unit: string },
): Setting<number | null> {
  const inner = integer({ ...options, default: options.min });
  return {
    ...inner,
    default: options.default,
    type: `${inner.type}, or null`,
    schema: { type: ["integer", "null"], minimum: options.min, maximum: options.max },
    check: (value): value is number | null => value === null || inner.check(value),
    fromText: (text) => (text === "" ? null : inner.fromText(text)),
  };
}

/** A date or a time of day in UTC, or null for "not set": `2026-11-20` or `2026-11-20T09:30:00Z`. */
export function optionalTime(options: Described<string | null>): Setting<string | null> {
  return {
    ...described(options),
    type: "date (2026-11-20) or time in UTC (2026-11-20T09:30:00Z), or null",
    schema: { type: ["string", "null"], pattern: "^\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2}:\\d{2}Z)?$" },
    check: (value): value is string | null =>
      value === null || (typeof value === "string" && parseTime(value) !== null),
    fromText: (text) => (text === "" ? null : text),
  };
}

/** Milliseconds since 1970 of `2026-11-20` or `2026-11-20T09:30:00Z`; null for anything else and for days that are not there. */
export function parseTime(text: string): number | null {
  if (!/^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}Z)?$/.test(text)) return null;
  const time = Date.parse(text);
  // A day like February 30 would be taken for one of March.
  return Number.isNaN(time) || !new Date(time).toISOString().startsWith(text.slice(0, 10)) ? null : time;
}

/** A list of texts. */
export function textList(
  options: Described<readonly string[]> & { itemsMax: number; charactersMax: number },
): Setting<readonly string[]> {
  const { itemsMax, charactersMax } = options;
  return {
    ...described(options),
    type: `list of up to ${itemsMax} texts of at most ${charactersMax} characters`,
    schema: { type: "array", maxItems: itemsMax, items: { type: "string", maxLength: charactersMax } },
    check: (value): value is readonly string[] =>
      Array.isArray(value) &&
      value.length <= itemsMax &&
      value.every((item) => typeof item === "string" && item.length <= charactersMax),
    fromText: (text) => (text === "" ? [] : text.split(",")),
  };
}

/** A list of words out of a few. */
export function choiceList<const C extends string>(
  options: Described<readonly C[]> & { choices: readonly C[] },
): Setting<readonly C[]> {
  const { choices } = options;
  return {
    ...described(options),
    type: `list of ${choices.map((c) => `"${c}"`).join(", ")}`,
    schema: { type: "array", uniqueItems: true, items: { enum: [...choices] } },
    check: (value): value is readonly C[] =>
      Array.isArray(value) &&
      new Set(value).size === value.length &&
      value.every((item) => choices.some((c) => c === item)),
    fromText: (text) => (text === "" ? [] : text.split(",")),
  };
}

export function list<const S extends SectionShape>(options: {
  readonly doc: string;
  readonly itemsMax: number;
  readonly item: S;
}): List<S> {
  return { kind: "list", doc: options.doc, itemsMax: options.itemsMax, item: section(options.doc, options.item) };
}

export function section<const S extends SectionShape>(doc: string, shape: S): Section<S> {
  return { kind: "section", doc, shape };
}

/** Checks `value` against the schema and fills in defaults. Unknown fields and wrong values are a {@link FormatError}. */
export function readSection<S extends SectionShape>(
  schema: Section<S>,
  value: unknown,
  format: string,
): Infer<Section<S>> {
  // The shape is built field by field from the schema, which is what Infer describes.
  return readFields(schema, value, format, "") as Infer<Section<S>>;
}

function readFields(schema: Section, value: unknown, format: string, path: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FormatError(format, `${quote(JSON.stringify(value) ?? "nothing")}, an object expected`, fieldPlace(path));
  }
  const given = new Map(Object.entries(value));
  for (const name of given.keys()) {
    if (!Object.hasOwn(schema.shape, name)) {
      throw new FormatError(
        format,
        `unknown field ${quote(path + name)}, one of ${Object.keys(schema.shape).join(", ")} expected`,
      );
    }
  }
  const result: Record<string, unknown> = {};
  for (const [name, node] of Object.entries(schema.shape)) {
    const item = given.get(name);
    if (node.kind === "section")
      result[name] = readFields(node, item === undefined ? {} : item, format, `${path}${name}.`);
    else if (node.kind === "list") result[name] = readList(node, item === undefined ? [] : item, format, path + name);
    else result[name] = item === undefined ? node.default : checked(node, item, format, path + name);
  }
  return result;
}

function readList(schema: List, value: unknown, format: string, path: string): Record<string, unknown>[] {
  if (!Array.isArray(value) || value.length > schema.itemsMax) {
    const found = Array.isArray(value) ? `${value.length} items` : quote(JSON.stringify(value) ?? "nothing");
    throw new FormatError(format, `${found}, a list of up to ${schema.itemsMax} objects expected`, { field: path });
  }
  return value.map((item: unknown, index) => readFields(schema.item, item, format, `${path}[${index}].`));
}

function checked(setting: Setting<unknown>, value: unknown, format: string, path: string): unknown {
  if (setting.check(value)) return value;
  throw new FormatError(format, `${quote(JSON.stringify(value) ?? "nothing")}, ${setting.type} expected`, {
    field: path,
  });
}

function fieldPlace(path: string): { field?: string } {
  return path === "" ? {} : { field: path.slice(0, -1) };
}

/**
 * What of a value differs from the defaults, in the order of the schema: a new setting does not change it. Sections that are
 * left empty are left out; items of lists stay.
 */
export function withoutDefaults<S extends SectionShape>(
  schema: Section<S>,
  value: Infer<Section<S>>,
): Readonly<Record<string, unknown>> {
  return leanFields(schema, value);
}

function leanFields(schema: Section, value: unknown): Record<string, unknown> {
  const given = new Map(typeof value === "object" && value !== null ? Object.entries(value) : []);
  const lean: Record<string, unknown> = {};
  for (const [name, node] of Object.entries(schema.shape)) {
    const own: unknown = given.get(name);
    if (node.kind === "section") {
      const inner = leanFields(node, own);
      if (Object.keys(inner).length > 0) lean[name] = inner;
    } else if (node.kind === "list") {
      const items: readonly unknown[] = Array.isArray(own) ? own : [];
      if (items.length > 0) lean[name] = items.map((item) => leanFields(node.item, item));
    } else if (JSON.stringify(own) !== JSON.stringify(node.default)) lean[name] = own;
  }
  return lean;
}

export interface NamedSetting {
  /** `rescue.shell`. */
  readonly path: string;
  readonly setting: Setting<unknown>;
}

/** Every setting with its dotted path, in the order of the schema; those of a list's items as `keys[].file`. */
export function listSettings(schema: Section, prefix = ""): NamedSetting[] {
  return Object.entries(schema.shape).flatMap(([name, node]) => {
    if (node.kind === "section") return listSettings(node, `${prefix}${name}.`);
    return node.kind === "list"
      ? listSettings(node.item, `${prefix}${name}[].`)
      : [{ path: prefix + name, setting: node }];
  });
}

/** JSON Schema (draft 2020-12) of a section. */
export function jsonSchema(schema: Section): Record<string, unknown> {
  const properties: Record<string, unknown> = {};
  for (const [name, node] of Object.entries(schema.shape)) {
    if (node.kind === "section") properties[name] = jsonSchema(node);
    else if (node.kind === "list") {
      properties[name] = {
        type: "array",
        description: node.doc,
        maxItems: node.itemsMax,
        items: jsonSchema(node.item),
      };
    } else properties[name] = { ...node.schema, default: node.default, description: node.doc };
  }
  return { type: "object", description: schema.doc, additionalProperties: false, properties };
}
