import { FormatError, quote } from "./format-error.ts";
import { JsonFields, parseJson } from "./json-fields.ts";

/*
 * The lowest version of each product that may boot, as a small JSON document in an EFI variable or a file:
 * {"slipwayRollback":1,"products":[{"name":"acme-os","minimum":7}]}
 */

const format = "rollback minimums";

/** Largest document, bytes. */
export const rollbackMinimumsBytesMax = 32_768;
/** As many as a policy may name. */
export const rollbackProductsMax = 32;
/** Longest name of a product, UTF-16 code units. */
export const rollbackNameCharactersMax = 128;

/** Minimum versions, whole numbers from 0, by the products' names. */
export type RollbackMinimums = ReadonlyMap<string, number>;

/** Reads a document. Throws FormatError; a field of no meaning and a product that stands twice are errors. */
export function parseRollbackMinimums(bytes: Uint8Array): RollbackMinimums {
  const fields = new JsonFields(parseJson(bytes, format, rollbackMinimumsBytesMax), format, "", [
    "slipwayRollback",
    "products",
  ]);
  fields.integer("slipwayRollback", 1, 1);
  const minimums = new Map<string, number>();
  fields.list("products", rollbackProductsMax, (value, path) => {
    const product = new JsonFields(value, format, path, ["name", "minimum"]);
    const name = product.text("name", rollbackNameCharactersMax);
    if (name === "") product.fail("name", "a product's name expected");
    if (minimums.has(name)) product.fail("name", `a second product ${quote(name)}`);
    minimums.set(name, product.integer("minimum", 0, Number.MAX_SAFE_INTEGER));
  });
  return minimums;
}

/** A document, one line, products by name. Throws FormatError for what {@link parseRollbackMinimums} would not take. */
export function writeRollbackMinimums(minimums: RollbackMinimums): Uint8Array {
  const products = [...minimums]
    .map(([name, minimum]) => ({ name, minimum }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const bytes = new TextEncoder().encode(`${JSON.stringify({ slipwayRollback: 1, products })}\n`);
  if (parseRollbackMinimums(bytes).size !== minimums.size) throw new FormatError(format, "names that differ expected");
  return bytes;
}
